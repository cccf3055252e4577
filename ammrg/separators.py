"""What separates the cells of a CSV file: commas, or the semicolons or tabs that Excel writes in many countries."""

from __future__ import annotations

MARKS = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""What may separate cells, that which is looked for first in front."""


def separator(header: str) -> str:
    """What separates cells: a semicolon or tab where the header has one and no comma."""
    return next((mark for mark in MARKS if mark in header), ",")
