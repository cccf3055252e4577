"""The commands of the package; each turns its arguments into one call."""
