"""Fields of reports that are written as forms, such as ``Pneumothorax: none. Effusion: small, right.``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ammrg.findings import BLANK, NEGATIVE, POSITIVE, UNCERTAIN
from ammrg.text import cues
from ammrg.text.patterns import pattern
from ammrg.text.scope import denied, doubted, unchanged

_WORDS = r"(?: ?(?!(?:and|or)\b)[a-z]++){1,3}"
_MARK = r" ?[:=](?!\d\d)"
_SEPARATOR = re.compile(rf"s?(?:(?: ?/| ?, (?:and|or)\b| and/or\b| and\b| or\b| &){_WORDS})*{_MARK}")
"""The rest of a heading after its first name: more names, then the mark that ends it."""
_FIRST_SEPARATOR = re.compile(rf"s?(?: ?(?:/|,(?: and\b| or\b)?|&|\band/or\b|\band\b|\bor\b){_WORDS})*{_MARK}")
"""The same at the start of a sentence, where a comma separates names, not clauses: "pneumothorax, effusion: none"."""
_DENIED = re.compile(r"\b(?:no|not|without|is|are|was|were|has|have|may|there)\b")
_NO_VALUE = re.compile(r"[ .]*(?:n ?/ ?a|not (?:applicable|assessed|evaluated|stated)|see (?:above|below))?[ .]*")
_ABSENT = re.compile(rf"[ (]*(?:{pattern(cues.VALUES_ABSENT).pattern}|[-–—−0](?![\w]))")


class Field(NamedTuple):
    """One heading that names findings, and its value. Places are in characters of the sentence."""

    start: int
    """Start of its first name."""
    value: int
    """Start of its value."""
    stop: int
    """End of its value."""


def fields(sentence: str, names: Sequence[tuple[int, int]]) -> list[Field]:
    """Find the form fields of a sentence.

    Args:
        sentence: in lower case.
        names: (start, stop) of each name of a finding or organ in it.
    """
    if ":" not in sentence and "=" not in sentence:
        return []
    headings: dict[int, int] = {}
    for start, stop in sorted(names):
        is_first = not sentence[:start].strip()
        mark = (_FIRST_SEPARATOR if is_first else _SEPARATOR).match(sentence, stop)
        if mark and (headings or not _DENIED.search(sentence[:start])):
            headings.setdefault(mark.end(), start)
    starts = [*headings.values(), len(sentence)]
    return [Field(start, value, starts[i + 1]) for i, (value, start) in enumerate(headings.items())]


def value_label(value: str, *, device: bool = False) -> float:
    """The label that a field's value gives: 0 absent, -1 uncertain, else 1 present; NaN for "N/A" or no value."""
    if _NO_VALUE.fullmatch(value):
        return BLANK
    if denied("", value, device=device) or (_ABSENT.match(value) and not unchanged(value)):
        return NEGATIVE
    return UNCERTAIN if doubted(value, "") or doubted("", value) else POSITIVE
