"""Studies from files: films found in folders, archives and memory, grouped by study or set aside with a reason."""
