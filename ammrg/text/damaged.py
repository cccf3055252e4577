"""Signs that a text is not what its author wrote: tags of a page, letters read in a wrong encoding."""

from __future__ import annotations

import re

TAG = re.compile(r"</?[A-Za-z][^<>]*>|&(?:[A-Za-z]+|#\d+);")
"""HTML's or XML's tags or entities."""
_MISREAD = re.compile(r"[\u00c2-\u00c5][\u0080-\u00bf\u0152-\u0178\u2018-\u203a\u20ac\u2122]|\u00e2\u20ac|\ufffd")
"""UTF-8 read as Latin-1 or Windows-1252: its first byte as a letter, and a second that no word has there."""


def is_misread(text: str) -> bool:
    """Whether letters were read in a wrong encoding, such as ``Ã¼`` in place of ``ü``."""
    return _MISREAD.search(text) is not None
