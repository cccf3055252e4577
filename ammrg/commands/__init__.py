"""The commands of the package: arguments in, one call."""
