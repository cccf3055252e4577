"""Pretrained image encoders that are fetched as packages."""
