"""Ids of studies and patients, which are text everywhere in the project."""

from __future__ import annotations

import re

_WHOLE = re.compile(r"(\d+)\.0*")


def plain_id(text: str) -> str:
    """Strip the space around an id, and the decimals of a whole number: ``1.0`` -> ``1``.

    Programs write ``1.0`` when they read a column of whole numbers that had a missing value.
    """
    match = _WHOLE.fullmatch(text.strip())
    return match.group(1) if match else text.strip()
