"""Tables of phrases -> one regular expression.

Entries are regular expressions on lower-case text, matched at word boundaries; a space stands for any one space or
hyphen ("air space" also finds "air-space"). ``*`` at a word's end allows any ending.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def pattern(entries: Iterable[str]) -> re.Pattern[str]:
    """Alternation of table entries, longest first, at word boundaries."""
    ordered = sorted(entries, key=len, reverse=True)
    body = re.sub(r"(?<=[a-z)])\*(?=$|[ |)])", r"\\w*", "|".join(ordered)).replace(" ", "[ -]")
    return re.compile(rf"\b(?:{body})(?!\w)")
