"""The commands, one thin file each: it reads the arguments and makes one call."""
