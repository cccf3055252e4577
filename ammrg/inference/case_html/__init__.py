"""report.html of one study: its report first, its films and maps, findings, and what was recalled."""
