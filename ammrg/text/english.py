"""Tells whether texts are English, as far as the rule-based labeler depends on it."""

from __future__ import annotations

import re
from collections.abc import Iterable

WORDS = re.compile(
    r"\b(?:the|and|with|within|without|are|were|been|there|have|heart|lungs?|clear|left|right|chest|effusions?)\b",
    re.IGNORECASE,
)
"""Words that nearly every English report has one of, and that other languages of reports do not have."""


def count_not_english(texts: Iterable[str]) -> int:
    """Count texts that have none of the commonest English words.

    A short English text may have none (``Cardiomegaly.``); a collection of which most have none is in another language.
    """
    return sum(not looks_english(text) for text in texts)


def looks_english(text: str) -> bool:
    """Whether a text has one of the commonest English words."""
    return WORDS.search(text) is not None
