"""The verdict on invented change, sizes and distances as a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.evaluation.verdicts import Sentence
from ammrg.metrics.invented import ANY
from ammrg.text.unseen_words import KINDS

_NAMES = {"change": "change since an earlier film", "size": "sizes", "distance": "a tube's distance"}


def invented_sentences(scores: Mapping[str, Any]) -> list[Sentence]:
    """One sentence. It is an alarm if the reports invent clearly more often than the references.

    Args:
        scores: the contents of scores.json.
    """
    ours = scores["invented"]["ours"]
    reports, generated, references = (ours[name] for name in ("reports", "generated", "references"))
    theirs = _kinds(references, reports)
    if not generated[ANY]:
        return [
            Sentence(
                f"None of the {reports} reports speaks of change since an earlier film, of sizes in cm or mm, or of a "
                f"tube's distance (of the references, {references[ANY]}{theirs}).",
                False,
            )
        ]
    text = (
        f"{generated[ANY]} of the {reports} reports{_kinds(generated, reports)} speak of what one film cannot show; of "
        f"the references, {references[ANY]}{theirs}. Written without an earlier film or a measurement, it is invented."
    )
    gap = ours["above_references"].get(ANY)
    if gap and gap["low"] > 0:
        return [Sentence(f"{text} THE REPORTS INVENT MORE OFTEN THAN THE REFERENCES.", True)]
    return [Sentence(text, False)]


def _kinds(counts: Mapping[str, int], reports: int) -> str:
    """The kinds that occur, with their shares, in brackets; empty if there are none."""
    parts = [f"{_NAMES[kind]} {counts[f'{ANY}_{kind}'] / reports:.1%}" for kind in KINDS if counts[f"{ANY}_{kind}"]]
    return f" ({', '.join(parts)})" if parts else ""
