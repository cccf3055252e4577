"""Several systems in one table: their files read on common studies, ranked, and written in four forms."""
