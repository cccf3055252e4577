"""The verdict of a doubt in a few plain words, for a reader who has not opened the sentence with its figures."""

from __future__ import annotations

import re

_SENTENCE = re.compile(r"(?<=\.) (?=[A-Z])")
_CAPITALS = re.compile(r"\b[A-Z]{2,} [A-Z]{2,}\b")
_BESIDE = re.compile(r"(?:Compared with|Against) [^:]*:")


def headline(text: str) -> str:
    """The parts of a sentence that are written in capitals, in small letters, after what the reports are compared with.

    Args:
        text: one of :func:`ammrg.evaluation.verdicts.sentences`, whose doubts are in capitals.

    Returns:
        The text itself if it has none.
    """
    verdicts = [part for part in _SENTENCE.split(text) if _CAPITALS.search(part)]
    if not verdicts:
        return text
    said = " ".join(map(_plain, verdicts))
    beside = _BESIDE.match(text)
    if beside and not verdicts[0].startswith(beside[0]):
        return f"{beside[0]} {said[0].lower()}{said[1:]}"
    return said


def _plain(verdict: str) -> str:
    """Words in capitals in small letters; the first letter stays large."""
    small = re.sub(r"\b[A-Z]{2,}\b", lambda word: word[0].lower(), verdict)
    return small[0].upper() + small[1:]
