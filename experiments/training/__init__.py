"""The Trainer's commands: settings are read, checked and passed to Lightning."""
