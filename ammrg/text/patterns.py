"""One regular expression from a table of phrases.

Entries are regular expressions for lower-case text, matched at word boundaries. A space matches one space or hyphen
("air space" also finds "air-space"). ``*`` at the end of a word allows any ending.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


def pattern(entries: Iterable[str]) -> re.Pattern[str]:
    """The alternation of the entries, longest first, at word boundaries."""
    ordered = sorted(entries, key=len, reverse=True)
    body = re.sub(r"(?<=[a-z)])\*(?=$|[ |)])", r"\\w*", "|".join(ordered)).replace(" ", "[ -]")
    return re.compile(rf"\b(?:{body})(?!\w)")
