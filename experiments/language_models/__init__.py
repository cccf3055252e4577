"""Small language models: the phantom's own, and those fetched as packages."""
