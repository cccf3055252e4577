"""The user's turns of a training conversation: they tell the findings of the report that follows."""

from __future__ import annotations

import functools
import random
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ammrg.text.labeler import Mention


DROPPED = 0.05
"""Share of the findings that a user turn leaves out while training."""
QUALIFIERS = re.compile(r"\b(?:left|right|bilateral|upper|mid|lower|apical|small|tiny|large|mild|moderate|severe)\b")
"""Words of a finding's sentence that its name in the user turn may carry."""
TOLD = 0.85
"""Share of the training conversations whose user turn tells the findings. With half of them, a model this small does
not learn in its minute to write what it is told."""


@functools.cache
def mentions(report: str) -> tuple[Mention, ...]:
    """What a labeler reads in a report; each is read once and used in every pass over the data."""
    from ammrg.text.labeler import explain

    return tuple(explain(report))


def told_turn(report: str, instruction: str, rng: random.Random) -> str:
    """The findings that a labeler reads in this report, in varied order, words and completeness, and the instruction.

    So the model learns to write what the user's turn says, which is where stage 2 puts its visual tokens.
    """
    from ammrg.text.prompts import findings_in_words

    present: list[str] = []
    uncertain: list[str] = []
    for mention in mentions(report):
        if mention.label == 0 or mention.finding == "No Finding" or rng.random() < DROPPED:
            continue
        found = QUALIFIERS.findall(mention.sentence.lower())
        words = [*dict.fromkeys(found), mention.finding.lower()] if rng.random() < 0.5 else [mention.finding.lower()]
        (present if mention.label == 1 else uncertain).append(" ".join(words))
    rng.shuffle(present)
    rng.shuffle(uncertain)
    return f"{findings_in_words(list(dict.fromkeys(present)), list(dict.fromkeys(uncertain)))} {instruction}"


def user_turn(report: str, instruction: str, rng: random.Random) -> str:
    """What the user says before this report: mostly its findings (:func:`told_turn`), else the plain instruction."""
    return told_turn(report, instruction, rng) if rng.random() < TOLD else instruction
