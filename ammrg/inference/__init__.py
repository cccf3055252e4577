"""A trained model in one folder: saved, loaded, and used to describe films."""
