"""The verdicts on recall as sentences: does each film recall something else, and is it right more often than chance?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.evaluation.verdicts import Sentence, short
from ammrg.metrics.location import FEWEST_PAIRS
from ammrg.metrics.recall import DEPTHS, PRECISIONS

KINDS: dict[str, tuple[str, str, str]] = {
    "regions": ("region", "pairs of study and finding", "show the finding where the reference has it"),
    "reports": ("report", "studies", "have mostly the findings and sides of the reference"),
}
"""What is recalled -> (one of them, the queries, what a right one does)."""
NAMES = {
    "random": "random patterns",
    "filtered": "random patterns of the predicted findings",
    "nearest_image": "the nearest by image",
}
"""The baselines in words."""
HALF = 0.5
"""A larger share of queries with the same pattern first raises an alarm."""


def named(baseline: str) -> str:
    """The name of a baseline in words."""
    return NAMES.get(baseline, baseline.replace("_", " "))


def recall_sentences(scores: Mapping[str, Any]) -> list[Sentence]:
    """One sentence for the regions and one for the reports that were recalled; none if nothing was.

    Args:
        scores: the contents of scores.json.
    """
    section = scores["recall"] or {}
    return [_sentence(kind, section[kind]) for kind in KINDS if section.get(kind)]


def _sentence(kind: str, found: Mapping[str, Any]) -> Sentence:
    one, queries, right = KINDS[kind]
    text = (
        f"Different {kind} recalled first: {found['distinct']}, for {found['queries']} {queries}; the commonest for "
        f"{found['most_first']} ({short(found['top_share']['value'])})."
    )
    doubts = []
    if found["queries"] >= FEWEST_PAIRS and found["top_share"]["value"] > HALF:
        doubts.append(f"ONE {one.upper()} COMES FIRST IN MORE THAN HALF.")
    if not found["judged"]:
        text += f" None of the {queries} can be judged: no reference says where such a finding is."
    else:
        at_1, at_5 = (short(found[key]["value"]) for key in PRECISIONS)
        text += f" Judged for {found['judged']}: {at_1} of the first {kind}, and {at_5} of the first five, {right}."
        if found["judged"] < FEWEST_PAIRS:
            text += f" Fewer than {FEWEST_PAIRS}, so no comparison."
        else:
            doubts += filter(None, (_beside(name, each) for name, each in found["baselines"].items()))
    return Sentence(" ".join((text, *doubts)), bool(doubts))


def _beside(name: str, baseline: Mapping[str, Any]) -> str:
    gaps = {depth: baseline["difference"].get(f"precision_at_{depth}") for depth in DEPTHS}
    unclear = [str(depth) for depth, gap in gaps.items() if gap is not None and gap["low"] <= 0]
    return f"NOT ABOVE {named(name).upper()} by precision at {' and '.join(unclear)}." if unclear else ""
