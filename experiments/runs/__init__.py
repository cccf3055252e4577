"""One run: its folder, what is kept there, and what is made from it."""
