"""The user's turns in the training conversations: they list the findings of the report that follows."""

from __future__ import annotations

import functools
import random
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ammrg.text.labeler import Mention


DROPPED = 0.05
"""Share of the findings that the user's turns leave out."""
QUALIFIERS = re.compile(r"\b(?:left|right|bilateral|upper|mid|lower|apical|small|tiny|large|mild|moderate|severe)\b")
"""Words of a finding's sentence that may go with its name into the user's turn."""
WITH_FINDINGS = 0.85
"""Share of the training conversations in which the user's turn lists the findings.

With half of them, a model this small does not learn in its minute of training to write what the turn lists.
"""


@functools.cache
def mentions(report: str) -> tuple[Mention, ...]:
    """The findings that the labeler reads in a report; cached, because every pass over the data needs them."""
    from ammrg.text.labeler import explain

    return tuple(explain(report))


def findings_turn(report: str, instruction: str, rng: random.Random) -> str:
    """A user's turn with the findings of this report, then the instruction.

    The order and wording of the findings vary, and now and then one is missing. The model so learns to write what the
    user's turn says; stage 2 puts its visual tokens there.
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
    """The user's turn before this report: mostly its findings (:func:`findings_turn`), else the instruction alone."""
    return findings_turn(report, instruction, rng) if rng.random() < WITH_FINDINGS else instruction
