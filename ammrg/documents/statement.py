"""What every document says about its origin, and the names of the device that made it."""

from __future__ import annotations

from ammrg import __version__

STATEMENT = "Research use only. Machine-generated and not checked by a person. Not a medical device; not for diagnosis."
"""Stands in every document."""
MANUFACTURER = "AM-MRG"
"""The device's manufacturer and name."""
DEVICE_MODEL = "AM-MRG report generator"
VERSION = __version__
SERIES = "AM-MRG report, research use only"
"""SeriesDescription of structured reports; documents in an archive are recognised by it."""
MAP_SERIES = "AM-MRG maps, research use only"
PDF_SERIES = "AM-MRG page, research use only"


def plain(text: str) -> str:
    """Return a generated text as documents may hold it: without control characters, and never empty."""
    kept = "".join(letter if letter.isprintable() or letter in "\n\t" else " " for letter in text).strip()
    return kept or "(no text)"
