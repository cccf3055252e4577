"""What stands on every output."""

from __future__ import annotations

NOTICE = "Research use only. Not a medical device; no report may guide the care of a person."
