"""Running the project: the commands, their configurations, and the log of what was tried."""
