"""The notice that every output shows."""

NOTICE = "Research use only. Not for diagnosis."
