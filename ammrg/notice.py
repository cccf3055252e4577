"""The notice that every program, table, picture and page carries."""

NOTICE = "Research use only. Not for diagnosis."
