"""The Trainer's commands: settings read, checked and handed to Lightning."""
