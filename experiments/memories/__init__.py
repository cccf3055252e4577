"""Memory banks looked at, measured and withdrawn from."""
