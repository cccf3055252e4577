"""What the page shows of a report's claims: what its network found, and what one film cannot show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.evaluation.predictions import Line
from ammrg.findings import FINDINGS
from ammrg.text.labeler import sentences
from ammrg.text.shown_places import shown_place
from ammrg.text.unseen import sentence_phrases


def faithfulness_rows(scores: Mapping[str, Any]) -> list[list[Any]] | None:
    """Finding, and how often it is found, said, missing, invented and denied; None if faithfulness is not measured.

    Args:
        scores: the contents of scores.json.
    """
    ours = scores["faithfulness"]["ours"]
    if ours["absent"]:
        return None
    parts = ("found", "said", "missing", "invented", "denied")
    return [[name, *(row[part] for part in parts)] for name, row in ours["findings"].items()]


def found_bits(line: Line) -> int | None:
    """The findings in the network's table as one integer (bit i is finding i); None if they are not known."""
    if line.table is None or line.table.present is None:
        return None
    return sum(1 << FINDINGS.index(name) for name in line.table.present)


def probabilities_of(line: Line) -> list[int] | None:
    """The network's probabilities of the 13 abnormal findings, in thousandths; None if they are not known."""
    return None if line.table is None else [round(1000 * value) for value in line.table.probabilities]


def places_of(row: Mapping[str, Any]) -> dict[int, str]:
    """Index of a finding -> its sides and levels in words, of a line of a run's reports that tells them."""
    named = row.get("places")
    if not isinstance(named, Mapping):
        return {}
    return {
        FINDINGS.index(name): shown_place(words)
        for name, words in named.items()
        if name in FINDINGS and isinstance(words, list) and words
    }


def unseen_marks(text: str) -> list[list[Any]]:
    """``[number of the sentence, start, end, kind]`` of each phrase that says what one film cannot show."""
    return [
        [number, *phrase] for number, sentence in enumerate(sentences(text)) for phrase in sentence_phrases(sentence)
    ]
