"""Alarms on texts that no system should write, and on languages that the labeler cannot read, as sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.evaluation.verdicts import EXCHANGED, Sentence, called
from ammrg.metrics.odd_texts import GRAM, LONG, NEAR, SAME_WORDS, OddTexts, TrainingTexts

COPIED = 0.1
"""The share of copied references that raises an alarm, beyond those of any baseline or of exchanged reports."""
FEWEST_COPIED = 3
"""Fewer copies raise none."""
FOREIGN = 0.5
"""The share of references, or of reports, that do not look English that raises an alarm."""
FEWEST_READ = 10
"""Fewer studies raise none."""
TRAINED = 0.1
"""The share of long training reports that are references that raises an alarm: of IU X-Ray's, 3% are."""
FEWEST_TRAINED = 10
"""Fewer raise none: a few normal ones are references by chance."""
RETRIEVED = 0.9
"""The share of generated reports that are training reports that raises an alarm."""


def text_sentences(scores: Mapping[str, Any]) -> list[Sentence]:
    """The alarms; empty if all is well.

    Args:
        scores: the contents of scores.json.
    """
    ours = OddTexts(**scores["odd_texts"]["ours"])
    found = [_copied(ours, scores["odd_texts"]), _tagged(ours), _foreign(ours) or _unknown(ours)]
    trained = scores["meta"]["train_texts"]
    return [Sentence(text, True) for text in found if text] + (
        [] if trained is None else _trained(TrainingTexts(**trained), ours.reports)
    )


def _copied(ours: OddTexts, of_all: Mapping[str, Mapping[str, Any]]) -> str:
    counts = {name.partition("/")[2]: _copies(OddTexts(**each)) for name, each in of_all.items() if _shows_chance(name)}
    name = max(counts, key=lambda each: counts[each], default="")
    theirs = counts.get(name, 0)
    if _copies(ours) < FEWEST_COPIED or _copies(ours) - theirs < COPIED * ours.reports:
        return ""
    compared = f"; of {called(name)}, {theirs}" if theirs else ""
    return (
        f"REFERENCES ARE COPIED: {_copies(ours)} of {ours.reports} reports are the reference of their study, "
        f"{ours.copied} word for word, {ours.nearly_copied} nearly (at least {NEAR:.0%} of its runs of {GRAM} words, "
        f"or {SAME_WORDS:.0%} of its words in any order; "
        f"counted from {LONG} words on, and only if no other patient has it{compared})."
    )


def _copies(texts: OddTexts) -> int:
    return texts.copied + texts.nearly_copied


def _shows_chance(name: str) -> bool:
    """Baselines, and the reports exchanged among studies, are copies by chance alone."""
    return name.startswith("baselines/") or name == f"guards/{EXCHANGED}"


def _tagged(ours: OddTexts) -> str:
    if ours.tagged <= ours.tagged_references:
        return ""
    return (
        f"TAGS IN THE TEXTS: {ours.tagged} of {ours.reports} reports have tags such as {ours.tag} (of the references, "
        f"{ours.tagged_references}), which count as words; write plain text."
    )


def _unknown(ours: OddTexts) -> str:
    if not ours.unknown:
        return ""
    return (
        f"NO KNOWN WORD: {ours.unknown} of {ours.reports} reports share no word with any reference; if they name "
        "no finding they count as normal, which F1 over 14 findings rewards where the reference is normal too."
    )


def _foreign(ours: OddTexts) -> str:
    counts = {"references": ours.foreign_references, "reports": ours.foreign_reports}
    sides = [f"{count} of {ours.reports} {side}" for side, count in counts.items() if count >= FOREIGN * ours.reports]
    if ours.reports < FEWEST_READ or not sides:
        return ""
    return (
        f"NOT IN ENGLISH: {' and '.join(sides)} have none of the commonest words of English chest X-ray reports, which "
        "alone the labeler reads; the clinical scores mean nothing for these texts."
    )


def _trained(texts: TrainingTexts, reports: int) -> list[Sentence]:
    shared = f"{texts.references} of {texts.different} different training reports are references of the scored studies"
    if max(FEWEST_TRAINED, TRAINED * texts.long) <= texts.long_references:
        references = (
            f"TRAINING REPORTS ARE REFERENCES: {shared} (of those of {LONG} words or more, {texts.long_references} of "
            f"{texts.long}), so what is made from them, baselines and vocabulary, means little; give the training "
            "part's reports with --train-texts."
        )
    else:
        references = f"{shared}, word for word."
    written = f"{texts.reports} of {reports} reports are, word for word, training reports"
    retrieved = texts.reports >= RETRIEVED * reports
    return [
        Sentence(references, not references.startswith(shared)),
        Sentence(f"TRAINING REPORTS AS REPORTS: {written}." if retrieved else f"{written}.", retrieved),
    ]
