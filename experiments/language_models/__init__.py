"""Small language models: the phantom's own, and pretrained ones that are fetched as packages."""
