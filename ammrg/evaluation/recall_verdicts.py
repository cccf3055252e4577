"""The verdicts on recall as sentences: does each film recall something else, and is it right more often than chance?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.evaluation.verdicts import Sentence, short
from ammrg.metrics.location import FEWEST_PAIRS
from ammrg.metrics.recall import DEPTHS, PRECISIONS
from ammrg.reasons import PERCENTILE

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
    """One sentence for the regions and one for the reports that were recalled, and one for their influence.

    There is none if it is not known what was recalled, and none of influence if that was not measured.

    Args:
        scores: the contents of scores.json.
    """
    section, studies = scores["recall"], scores["meta"]["studies"]
    if section is None:
        return []
    found = [_sentence(kind, section[kind]) if section[kind] else _nothing(kind, studies) for kind in KINDS]
    return [*found, _of_influence(section["mattered"], studies)] if section["mattered"] else found


def _nothing(kind: str, studies: int) -> Sentence:
    why = "stage 1 finds nothing, or the memory is off or empty" if kind == "regions" else "the memory is off or empty"
    return Sentence(f"NO {KINDS[kind][0].upper()} IS RECALLED for any of the {studies} studies: {why}.", True)


def _of_influence(found: Mapping[str, Any], studies: int) -> Sentence:
    low = found["value"] if found["low"] is None else found["low"]
    between = "" if found["low"] is None else f" [{short(found['low'])}, {short(found['high'])}]"
    text = (
        f"A recalled case bears on {found['studies']} of {studies} reports ({short(found['value'])}{between}): it has "
        f"more influence on their likelihood than {PERCENTILE} in 100 random ones; the words may be the same without "
        f"it. With random ones in all places, it would be {short(found['chance'])}."
    )
    doubt = low <= found["chance"]
    return Sentence(f"{text} THE MEMORIES MATTER NO MORE THAN RANDOM CASES." if doubt else text, doubt)


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
            doubts += filter(None, (_beside(kind, name, each) for name, each in found["baselines"].items()))
    return Sentence(" ".join((text, *doubts)), bool(doubts))


def _beside(kind: str, name: str, baseline: Mapping[str, Any]) -> str:
    gaps = {depth: baseline["difference"].get(f"precision_at_{depth}") for depth in DEPTHS}
    unclear = [str(depth) for depth, gap in gaps.items() if gap is not None and gap["low"] <= 0]
    above = f"{kind.upper()} ARE NOT ABOVE {named(name).upper()} by precision at {' and '.join(unclear)}."
    return above if unclear else ""
