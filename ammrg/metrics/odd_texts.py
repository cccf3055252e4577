"""Texts that no system should write: copies of their references, tags of a page, words that no reference has."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import NamedTuple

from ammrg.text.blank import is_blank
from ammrg.text.cleaning import normalise
from ammrg.text.damaged import TAG
from ammrg.text.english import count_not_english, looks_english

LONG = 20
"""Fewest words of a text that is not equal to another by chance."""
GRAM = 4
"""Words of a run; near copies are those that have most runs of their reference."""
NEAR = 0.75
"""The share of a reference's runs that makes a report a near copy: one changed word in 20 leaves more."""
SAME_WORDS = 0.85
"""The share of the words of the longer text, in any order, that makes one too: every tenth word changed leaves .9, and
sentences in another order leave all."""
_WORD = re.compile(r"[^\W\d_]+")


class OddTexts(NamedTuple):
    """Numbers of reports."""

    reports: int
    copied: int
    """Reports that are, word for word, their own study's reference, which has :data:`LONG` words or more and is no
    other patient's."""
    nearly_copied: int
    """Further reports that share :data:`NEAR` of the runs of :data:`GRAM` words of such a reference, or
    :data:`SAME_WORDS` of the words, or more."""
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
    wanted, found = ([_WORD.findall(text) for text in texts] for texts in (plain, said))
    long = [row for row, text in enumerate(plain) if len(owners[text]) == 1 and len(wanted[row]) >= LONG]
    copied = sum(plain[row] == said[row] for row in long)
    tags = [TAG.findall(text) for text in generated]
    known = set[str]().union(*wanted)
    english = set[str]().union(*(words for text, words in zip(references, wanted, strict=True) if looks_english(text)))
    own = [(text, words) for text, words in zip(generated, found, strict=True) if not is_blank(text)]
    return OddTexts(
        reports=len(generated),
        copied=copied,
        nearly_copied=sum(_near(wanted[row], found[row]) for row in long) - copied,
        tagged=sum(map(bool, tags)),
        tagged_references=sum(TAG.search(text) is not None for text in references),
        tag=next((each[0] for each in tags if each), ""),
        unknown=sum(known.isdisjoint(words) for _, words in own),
        foreign_references=count_not_english(references),
        foreign_reports=sum(not looks_english(text) and _mostly_outside(words, english) for text, words in own),
    )


class TrainingTexts(NamedTuple):
    """What the training reports share, word for word, with the scored studies."""

    different: int
    """Number of different training reports."""
    references: int
    """Those that are also a reference."""
    long: int
    """Different training reports of :data:`LONG` words or more."""
    long_references: int
    """Those that are also a reference."""
    reports: int
    """Number of generated reports that are a training report."""


def training_texts(train_texts: Sequence[str], references: Sequence[str], generated: Sequence[str]) -> TrainingTexts:
    """Count the training reports that are references, or generated; a text that says nothing is none."""
    texts = {normalise(text) for text in train_texts if not is_blank(text)}
    shared = texts & {normalise(text) for text in references}
    long, long_shared = (sum(len(_WORD.findall(text)) >= LONG for text in each) for each in (texts, shared))
    return TrainingTexts(
        len(texts), len(shared), long, long_shared, sum(normalise(text) in texts for text in generated)
    )


def _near(reference: Sequence[str], said: Sequence[str]) -> bool:
    wanted, found = _runs(reference), _runs(said)
    shared = (Counter(reference) & Counter(said)).total()
    return len(wanted & found) >= NEAR * len(wanted) or shared >= SAME_WORDS * max(len(reference), len(said))


def _runs(words: Sequence[str]) -> set[tuple[str, ...]]:
    return {tuple(words[start : start + GRAM]) for start in range(len(words) - GRAM + 1)}


def _mostly_outside(words: Sequence[str], known: Collection[str]) -> bool:
    return 2 * sum(word not in known for word in words) >= len(words) > 0
