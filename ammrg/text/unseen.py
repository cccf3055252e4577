"""What a report says that one film cannot show: change since an earlier film, sizes, the distance of a tube's tip.

Whoever wrote the report without an earlier film or a measurement invented it. The words are data, in
:mod:`ammrg.text.unseen_words`. Denial does not matter: "no interval change" speaks of an earlier film as "worse" does.
Each sentence is read by itself.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ammrg.text import unseen_words
from ammrg.text.labeler import sentences
from ammrg.text.patterns import pattern

_CHANGE, _NOT_CHANGE = pattern(unseen_words.CHANGE), pattern(unseen_words.NOT_CHANGE)
_SIZE, _NOT_SIZE = pattern(unseen_words.SIZE), pattern(unseen_words.NOT_SIZE)
_DISTANCE, _TIP = pattern(unseen_words.DISTANCE), pattern(unseen_words.TIPS)


class Phrase(NamedTuple):
    """Words of a sentence that say what one film cannot show."""

    start: int
    stop: int
    """The characters ``sentence[start:stop]``."""
    kind: str
    """One of :data:`ammrg.text.unseen_words.KINDS`."""


@lru_cache(maxsize=1 << 15)
def sentence_phrases(sentence: str) -> tuple[Phrase, ...]:
    """The phrases of one sentence, in its order. Results are cached, because reports repeat each other's sentences."""
    lowered = sentence.lower()
    found = [Phrase(*each.span(), "change") for each in _CHANGE.finditer(_without(_NOT_CHANGE, lowered))]
    if _TIP.search(lowered):
        found += [Phrase(*each.span(), "distance") for each in _DISTANCE.finditer(lowered)]
        lowered = _without(_DISTANCE, lowered)
    found += [Phrase(*each.span(), "size") for each in _SIZE.finditer(_without(_NOT_SIZE, lowered))]
    return tuple(sorted(found))


def _without(regex: re.Pattern[str], text: str) -> str:
    """The text with the matches blanked, at the same length."""
    return regex.sub(lambda found: "~" * len(found.group()), text)


def unseen_kinds(text: str) -> frozenset[str]:
    """What kinds of :data:`ammrg.text.unseen_words.KINDS` a report speaks of; empty for most reports of one film."""
    return frozenset(phrase.kind for sentence in sentences(text) for phrase in sentence_phrases(sentence))
