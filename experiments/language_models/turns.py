"""The training conversations of the phantom's language model: user's turns that list the findings of the report."""

from __future__ import annotations

import random
from typing import NamedTuple

DROPPED = 0.03
"""Share of the findings that the user's turns leave out."""
PLACED = 0.95
"""Share of the findings whose place the user's turns name, where the report names it."""
WITH_FINDINGS = 0.95
"""Share of the whole reports before which the user's turn lists the findings.

With half of them, a model this small does not learn in its minutes of training to write what the turn lists.
"""
EXCERPTS = 0.5
"""Share of the training conversations about some sentences of a report instead of the whole.

They are short and mostly about findings, so the model learns sooner to write what the turn lists.
"""


class Conversation(NamedTuple):
    """A user's turn and the answer to it."""

    turn: str
    answer: str


def findings_turn(report: str, instruction: str, rng: random.Random) -> str:
    """A user's turn with the findings of this report and their places, then the instruction.

    Now and then a finding or a place is missing. The model so learns to write what the user's turn says; stage 2 lists
    its findings in the same words and order, and puts its visual tokens before them.
    """
    from ammrg.text.labeler import explain
    from ammrg.text.places import Place, finding_places
    from ammrg.text.prompts import findings_in_words, placed_name

    places = finding_places(report)
    present = [
        placed_name(finding, place if rng.random() < PLACED else Place())
        for finding, place in places.items()
        if finding != "No Finding" and rng.random() >= DROPPED
    ]
    doubted = {each.finding for each in explain(report) if each.label != 0} - {*places, "No Finding"}
    uncertain = [finding.lower() for finding in sorted(doubted) if rng.random() >= DROPPED]
    return f"{findings_in_words(present, uncertain)} {instruction}".strip()


def conversation(report: str, instruction: str, rng: random.Random, excerpts: float = EXCERPTS) -> Conversation:
    """A training conversation: the whole report after its findings or the instruction alone, or an excerpt of it.

    The turn of an excerpt lists its findings without the instruction. ``excerpts`` is the share of excerpts.
    """
    from ammrg.text.labeler import sentences

    if rng.random() < excerpts:
        parts = sentences(report)
        chosen = sorted(rng.sample(range(len(parts)), rng.randint(1, min(3, len(parts)))))
        answer = " ".join(parts[number] for number in chosen)
        return Conversation(findings_turn(answer, "", rng), answer)
    turn = findings_turn(report, instruction, rng) if rng.random() < WITH_FINDINGS else instruction
    return Conversation(turn, report)
