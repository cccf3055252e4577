"""One run: its folder, the files in it, and what is made from them."""
