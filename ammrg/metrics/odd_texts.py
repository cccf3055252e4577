"""Texts that no system should write: copies of their references, tags of a page, words that no reference has."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from ammrg.text.blank import is_blank
from ammrg.text.cleaning import normalise
from ammrg.text.english import count_not_english, looks_english

LONG = 20
"""Fewest words of a text that is not equal to another by chance."""
GRAM = 4
"""Words of a run; near copies are those that have most runs of their reference."""
NEAR = 0.75
"""The share of a reference's runs that makes a report a near copy: one changed word in 20 leaves more."""
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|&(?:[A-Za-z]+|#\d+);")
_WORD = re.compile(r"[^\W\d_]+")


class OddTexts(NamedTuple):
    """Numbers of reports."""

    reports: int
    copied: int
    """Reports that are, word for word, their own study's reference, which has :data:`LONG` words or more and is no
    other patient's."""
    nearly_copied: int
    """Further reports that have :data:`NEAR` of the runs of :data:`GRAM` words of such a reference, or more."""
    tagged: int
    """Reports with HTML's or XML's tags or entities."""
    tagged_references: int
    tag: str
    """The first tag; empty if there is none."""
    unknown: int
    """Reports with words, none of which occurs in any reference."""
    foreign_references: int
    """References that do not look English (:func:`ammrg.text.english.count_not_english`)."""
    foreign_reports: int
    """Reports that do not look English, and half of whose words or more are in no reference that does; a short English
    one (``No acute abnormality.``) is none."""


def odd_texts(references: Sequence[str], generated: Sequence[str], subject_ids: Sequence[str]) -> OddTexts:
    """Count the odd ones among n generated reports.

    Args:
        references: n texts.
        generated: n texts.
        subject_ids: the patient of each; studies of one patient may share a reference.
    """
    plain, said = ([normalise(text) for text in texts] for texts in (references, generated))
    owners = defaultdict[str, set[str]](set)
    for text, patient in zip(plain, subject_ids, strict=True):
        owners[text].add(patient)
    own_alone = [
        (text, mine)
        for text, mine in zip(plain, said, strict=True)
        if len(owners[text]) == 1 and len(_WORD.findall(text)) >= LONG
    ]
    copied = sum(text == mine for text, mine in own_alone)
    tags = [_TAG.findall(text) for text in generated]
    known = {word for text in plain for word in _WORD.findall(text)}
    own = [_WORD.findall(mine) for text, mine in zip(generated, said, strict=True) if not is_blank(text)]
    return OddTexts(
        reports=len(generated),
        copied=copied,
        nearly_copied=sum(_near(text, mine) for text, mine in own_alone) - copied,
        tagged=sum(map(bool, tags)),
        tagged_references=sum(_TAG.search(text) is not None for text in references),
        tag=next((found[0] for found in tags if found), ""),
        unknown=sum(not any(word in known for word in words) for words in own),
        foreign_references=count_not_english(references),
        foreign_reports=_foreign(references, generated),
    )


def _near(reference: str, said: str) -> bool:
    wanted, found = _runs(reference), _runs(said)
    return len(wanted & found) >= NEAR * len(wanted)


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text)
    return {tuple(words[start : start + GRAM]) for start in range(len(words) - GRAM + 1)}


def _foreign(references: Sequence[str], generated: Sequence[str]) -> int:
    english = {word for text in references if looks_english(text) for word in _WORD.findall(normalise(text))}
    others = (_WORD.findall(normalise(text)) for text in generated if not (is_blank(text) or looks_english(text)))
    return sum(2 * sum(word not in english for word in words) >= len(words) > 0 for words in others)
