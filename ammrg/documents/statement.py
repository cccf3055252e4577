"""What every document says about its origin, and the names of the device that made it."""

from __future__ import annotations

from ammrg import __version__
from ammrg.operating_points import BALANCED, name_of

STATEMENT = "Research use only. Machine-generated and not checked by a person. Not a medical device; not for diagnosis."
"""Stands in every document."""
MANUFACTURER = "AM-MRG"
"""The device's manufacturer and name."""
DEVICE_MODEL = "AM-MRG report generator"
VERSION = __version__
SERIES = "AM-MRG report, research use only"
"""SeriesDescription of structured reports begins with it; in an archive they are recognised by it."""
MAP_SERIES = "AM-MRG maps, research use only"
PDF_SERIES = "AM-MRG page, research use only"


def series_description(document: str, setting: float, corrects: bool) -> str:
    """Return the SeriesDescription of a document, by which an archive's list tells old and new ones apart.

    Args:
        document: :data:`SERIES`, :data:`MAP_SERIES` or :data:`PDF_SERIES`.
        setting: the operating point; it is named where it is not the balanced one.
        corrects: whether an earlier report of the study is corrected.

    Returns:
        At most 64 characters, as the value representation LO allows.
    """
    read = [] if setting == BALANCED else [name_of(setting) or f"setting {setting:g}"]
    return ", ".join([document, *read, *(["correction"] if corrects else [])])


def plain(text: str) -> str:
    """Return a generated text as documents may hold it: without control characters, and never empty."""
    kept = "".join(letter if letter.isprintable() or letter in "\n\t" else " " for letter in text).strip()
    return kept or "(no text)"
