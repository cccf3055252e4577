"""Texts that say nothing, and what of a text does not count: invisible characters and the kind of white space."""

from __future__ import annotations

import re

_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff")) | dict.fromkeys(
    map(ord, "\u2010\u2011"), "-"
)
"""Soft hyphens, zero-width characters and marks of direction; the two hyphens that look like one are one."""
_HEADING = re.compile(r"\b(?:findings|impression|report|conclusion)\s*:", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+|\d\d")
_MASKED = re.compile(r"x{2,}", re.IGNORECASE)
"""XXXX: a word that was taken out."""
_MARKS = re.compile(r"[\W_]+")
PLACEHOLDERS = frozenset(
    {
        *("nan", "nat", "none", "null", "nil", "na", "n a", "undefined", "missing", "blank", "empty"),
        *("not available", "not applicable", "unavailable", "not reported", "not dictated", "none available"),
        *("no report", "no text", "no report available", "no text available", "report not available"),
        *("no dictation", "pending", "report pending", "report to follow", "withheld", "tbd", "n d"),
    }
)
"""What tables and programs write where there is no text; in lower case, marks as one space."""


def visible(text: str) -> str:
    """The text without characters that nobody sees, and with one kind of hyphen."""
    return text.translate(_INVISIBLE)


def says_nothing(text: str) -> bool:
    """Whether a text holds no word of a report: empty, marks or single digits alone, masks of de-identification alone
    (``XXXX``, ``___``), or a placeholder such as ``nan``, ``None``, ``N/A`` and ``No report.``; under headings, where
    that holds of each."""
    return all(map(_is_empty, _HEADING.split(visible(text))))


def _is_empty(section: str) -> bool:
    if all(_MASKED.fullmatch(word) for word in _WORD.findall(section)):
        return True
    words = _MARKS.sub(" ", section).strip().lower()
    return words in PLACEHOLDERS or all(word in PLACEHOLDERS for word in words.split())


def said(text: str) -> str:
    """The text, without white space at its ends; empty where it says nothing (:func:`says_nothing`)."""
    return "" if says_nothing(text) else text.strip()


def spoken(text: str) -> str:
    """The text as scores read it: empty where it says nothing, any run of white space one space, nothing invisible."""
    return " ".join(visible(said(text)).split())
