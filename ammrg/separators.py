"""What separates the cells of a CSV file: commas, semicolons or tabs, as Excel writes in many countries, or bars."""

from __future__ import annotations

MARKS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""What may separate cells, that which is looked for first in front."""


def separator(header: str) -> str:
    """What separates cells: a semicolon, tab or bar where the header has one and no comma."""
    return next((mark for mark in MARKS if mark in header), ",")
