"""What is run: the commands, their configurations, and the notes of what came out."""
