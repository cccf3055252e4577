"""Ids of studies and patients as texts."""

from __future__ import annotations

import re

_WHOLE = re.compile(r"(\d+)\.0*")


def plain_id(text: str) -> str:
    """An id without the space around it, and a whole number without its decimals: ``1.0`` -> ``1``.

    So write programs that took a column of numbers with a gap in it for one of fractions.
    """
    match = _WHOLE.fullmatch(text.strip())
    return match.group(1) if match else text.strip()
