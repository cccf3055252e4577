"""Pages that open from disk: one file with its data, style and script, and the parts that these pages share."""
