"""The verdicts on location against boxes as sentences: is a report's side, or level, better than chance?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.evaluation.verdicts import Sentence, protocols_of, short
from ammrg.metrics.location import ASPECTS, CHANCE, FEWEST_PAIRS


def box_sentences(scores: Mapping[str, Any]) -> list[Sentence]:
    """One sentence for the side and one for the level; none without boxes.

    Args:
        scores: the contents of scores.json.
    """
    if scores["boxes"] is None:
        return []
    values = scores[protocols_of(scores)[0]]
    return [
        _sentence(aspect, scores["boxes"][aspect], values) for aspect in ASPECTS if scores["boxes"][aspect]["placed"]
    ]


def _sentence(aspect: str, counts: Mapping[str, Any], values: Mapping[str, Any]) -> Sentence:
    ours, chance = (short(values[f"box_{aspect}_f1{end}"]["value"]) for end in ("", CHANCE))
    text = (
        f"Against the boxes of {counts['placed']} findings: F1 of the {aspect} {ours}, chance {chance}; the references "
        f"themselves reach {short(counts['references']['value'])}."
    )
    if not counts["varies"]:
        return Sentence(f"{text} Each finding is always in one place, so there is no verdict.", False)
    if counts["placed"] < FEWEST_PAIRS:
        return Sentence(f"{text} Fewer than {FEWEST_PAIRS}, so no verdict.", False)
    gap = counts["above_chance"]
    unclear = gap is not None and gap["low"] <= 0
    doubt = f" THE {aspect.upper()} IS NOT CLEARLY ABOVE CHANCE by the boxes." if unclear else ""
    return Sentence(text + doubt, unclear)
