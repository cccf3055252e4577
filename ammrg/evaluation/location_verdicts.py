"""The verdicts on location as sentences: is a report's side, or level, better than chance?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.evaluation.verdicts import Sentence, protocols_of, short
from ammrg.metrics.location import CHANCE, FEWEST_PAIRS

_PARTS = {"agreement": ("agreement", "pairs"), "f1": ("F1", "placed")}
"""Measure -> (its name in sentences, the count that a verdict on it needs)."""


def location_sentences(scores: Mapping[str, Any]) -> list[Sentence]:
    """One sentence for the side and one for the level.

    Args:
        scores: the contents of scores.json.
    """
    values = scores[protocols_of(scores)[0]]
    return [_sentence(aspect, counts, values) for aspect, counts in scores["location"]["ours"].items()]


def _sentence(aspect: str, counts: Mapping[str, Any], values: Mapping[str, Any]) -> Sentence:
    pairs, same, placed = (counts[name] for name in ("pairs", "same", "placed"))
    figure = {part: short(values[f"location_{aspect}_{part}"]["value"]) for part in _PARTS}
    chance = {part: short(values[f"location_{aspect}_{part}{CHANCE}"]["value"]) for part in _PARTS}
    if not placed:
        return Sentence(
            f"The references name no {aspect} of a finding (n = 0), so location is not measured by it.", False
        )
    if pairs:
        text = (
            f"The {aspect} is the same in {same} of the {pairs} findings that both texts place "
            f"({figure['agreement']}, chance {chance['agreement']}); they are {counts['covered']:.0%} of the {placed} "
            "that the references place."
        )
    else:
        text = (
            f"No finding has a {aspect} in both texts (n = 0), so there is no agreement; the references place {placed}."
        )
    text += f" F1 of the {aspect} {figure['f1']}, chance {chance['f1']}."
    if not counts["varies"]:
        text += f" The references give each finding one {aspect} only, so there is no verdict."
        return Sentence(text, False)
    gaps = counts["above_chance"]
    enough = [part for part, (_, needed) in _PARTS.items() if counts[needed] >= FEWEST_PAIRS]
    unclear = [_PARTS[part][0] for part in enough if part in gaps and gaps[part]["low"] <= 0]
    if unclear:
        text += f" THE {aspect.upper()} IS NOT CLEARLY ABOVE CHANCE by {' and '.join(unclear)}."
    if not enough:
        text += f" Fewer than {FEWEST_PAIRS} findings, so there is no verdict."
    return Sentence(text, bool(unclear))
