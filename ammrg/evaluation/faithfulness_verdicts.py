"""The verdict on faithfulness as a sentence: do the reports say what the network found?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.evaluation.verdicts import Sentence, protocols_of, short, spread
from ammrg.metrics.faithfulness import FEWEST_FINDINGS


def faithfulness_sentences(scores: Mapping[str, Any]) -> list[Sentence]:
    """One sentence. It is an alarm if the reports say it no better than reports exchanged among the studies.

    Args:
        scores: the contents of scores.json.
    """
    ours = scores["faithfulness"]["ours"]
    if ours["absent"]:
        return [Sentence(f"Faithfulness is not measured: {ours['absent']}.", False)]
    if not ours["found"]:
        text = (
            f"The network's tables affirm no finding (n = 0) and the reports {ours['said']}, so faithfulness is not "
            "measured."
        )
        return [Sentence(text, False)]
    f1 = scores[protocols_of(scores)[0]]["said_f1"]["value"]
    text = (
        f"Of {ours['found']} findings in the network's own tables the reports affirm {ours['both']} and deny "
        f"{ours['denied']}; {ours['said'] - ours['both']} of the {ours['said']} that they affirm are not in the tables "
        f"(said_f1 {short(f1)}).{_most_missing(ours['findings'])}"
    )
    if ours["hedged"]:
        text += f" Not counted: {ours['hedged']} that the reports call possible, and that are not in the tables."
    if not ours["varies"]:
        return [Sentence(f"{text} All tables are the same, so there is no verdict.", False)]
    if ours["found"] < FEWEST_FINDINGS:
        return [Sentence(f"{text} Fewer than {FEWEST_FINDINGS} findings, so there is no verdict.", False)]
    gap = ours.get("above_exchanged")
    if gap is None:
        return [Sentence(text, False)]
    text += f" Minus reports exchanged among studies: {spread(gap)}."
    unclear = gap["low"] <= 0
    return [Sentence(f"{text} THE REPORTS DO NOT SAY WHAT THE NETWORK FOUND." if unclear else text, unclear)]


def _most_missing(findings: Mapping[str, Mapping[str, Any]]) -> str:
    """The finding that is left out most often; empty if none is."""
    name, row = max(findings.items(), key=lambda item: int(item[1]["missing"]))
    return f" Most left out: {name}, {row['missing']} of {row['found']}." if row["missing"] else ""
