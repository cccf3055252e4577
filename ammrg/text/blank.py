"""Blank texts, and differences between texts that do not count: invisible characters and kinds of white space."""

from __future__ import annotations

import re
from functools import lru_cache

_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff")) | dict.fromkeys(
    map(ord, "\u2010\u2011"), "-"
)
"""Soft hyphens, zero-width characters and direction marks are deleted; two look-alikes of the hyphen become one."""
_HEADING = re.compile(r"\b(?:findings|impression|report|conclusion)\s*:", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+|\d\d")
_MASKED = re.compile(r"x{2,}", re.IGNORECASE)
"""XXXX: a word removed by de-identification."""
_MARKS = re.compile(r"[\W_]+")
PLACEHOLDERS = frozenset(
    {
        *("nan", "nat", "none", "null", "nil", "na", "n a", "undefined", "missing", "blank", "empty"),
        *("not available", "not applicable", "unavailable", "not reported", "not dictated", "none available"),
        *("no report", "no text", "no report available", "no text available", "report not available"),
        *("no dictation", "pending", "report pending", "report to follow", "withheld", "tbd", "n d"),
    }
)
"""Words that tables and programs write in place of a missing text; in lower case, with one space for any marks."""


def visible(text: str) -> str:
    """The text without invisible characters, and with one kind of hyphen."""
    return text.translate(_INVISIBLE)


@lru_cache(maxsize=1 << 14)
def is_blank(text: str) -> bool:
    """Whether a text has no word of a report. Results are cached, because each metric asks again.

    Such a text is empty, or has only punctuation, single digits or masks of de-identification (``XXXX``, ``___``), or
    is a placeholder such as ``nan``, ``None``, ``N/A`` or ``No report.``. A text with headings says nothing if no
    section does.
    """
    return all(map(_is_empty, _HEADING.split(visible(text))))


def _is_empty(section: str) -> bool:
    if all(_MASKED.fullmatch(word.group()) for word in _WORD.finditer(section)):
        return True
    words = _MARKS.sub(" ", section).strip().lower()
    return words in PLACEHOLDERS or all(word in PLACEHOLDERS for word in words.split())


def text_or_empty(text: str) -> str:
    """The text without white space at its ends; empty if it says nothing (:func:`is_blank`)."""
    return "" if is_blank(text) else text.strip()


def scored_text(text: str) -> str:
    """The text as scoring reads it: empty if it says nothing, with single spaces and no invisible characters."""
    return " ".join(visible(text_or_empty(text)).split())
