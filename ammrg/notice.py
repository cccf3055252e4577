"""The notice that stands on every output: help, tables, pictures and pages."""

from __future__ import annotations

NOTICE = "Research use only. Not for diagnosis; not a medical device."
