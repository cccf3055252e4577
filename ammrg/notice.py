"""The one sentence that stands on every output."""

NOTICE = "Research use only. Not for diagnosis."
