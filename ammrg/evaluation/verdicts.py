"""The guards' verdicts on a system as sentences, which are printed under the tables and written into scores.json."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from ammrg.metrics.clinical import silent_findings
from ammrg.metrics.guards import Collapse, warnings
from ammrg.metrics.location import FEWEST_PAIRS

SIDE = "location_side_f1"
"""Watched only where the references place enough findings for a verdict."""
WATCHED = {"clinical_micro_f1_13_neg": "clinical micro F1 (13)", "cider": "CIDEr", SIDE: "side F1"}
"""The metrics of the sentences that compare the reports with baselines, guards and other files."""
TEMPLATE = "stage1_template"
"""The baseline that says stage 1's findings and their places in fixed sentences."""
CONSTANT = "best_constant_"
"""Start of the names of the baselines that are one report for all studies."""
EXCHANGED = "reports_exchanged"
"""The guard that needs no network: each study gets another patient's generated report."""
EXCHANGED_MEMORY = "memory_shuffled"
"""The guard with another patient's memories."""
MIRRORED = "films_mirrored"
"""The guard with mirrored films, whose measure is in :mod:`ammrg.evaluation.mirrored_films`."""
NAMES = {
    "images_shuffled": "films shuffled among studies",
    "images_noise": "noise in place of the films",
    MIRRORED: "films mirrored",
    TEMPLATE: "a template of stage 1's findings",
    "memory_off": "both memories off",
    "memory_visual_off": "the visual memory off",
    "memory_report_off": "the report memory off",
    EXCHANGED_MEMORY: "memories shuffled among studies",
    EXCHANGED: "reports exchanged among studies",
    "best_constant_bleu4": "best constant, by BLEU-4",
    "best_constant_cider": "best constant, by CIDEr",
}
COPIED = 0.5
"""The share of words copied from retrieved reports that raises an alarm."""
ALPHA = 0.05
"""A p-value below this is significant."""


Gap = Mapping[str, Mapping[str, float]]
"""Metric -> {value, low, high} of a difference."""


class Sentence(NamedTuple):
    """One sentence about a system."""

    text: str
    alarm: bool
    """Whether it reports a problem, which the text names in capitals."""


def others_share(copied: Mapping[str, Any]) -> str:
    """The share of words copied from reports retrieved for another patient, in brackets; empty if there is none."""
    share = copied["share_of_others"]
    return "" if share is None else f" ({share:.0%} from one retrieved for another patient)"


def sentences(scores: Mapping[str, Any], gaps: Mapping[tuple[str, str], Gap]) -> list[Sentence]:
    """The sentences of a result.

    Args:
        scores: the contents of scores.json.
        gaps: (group, name) -> metric of :data:`WATCHED` -> {value, low, high} of the reports minus a baseline's
            or guard's.
    """
    found = [Sentence(text, True) for text in warnings(Collapse(**scores["collapse"]["ours"]))]
    silent = silent_findings(scores["findings"]["ours"]["neg"])
    if silent:
        text = f"With neither support nor predictions, so counted 0 in macro averages: {', '.join(silent)}."
        found.append(Sentence(text, False))
    copied = scores["copying"]
    if copied and copied["share"] >= COPIED:
        text = (
            f"MUCH IS COPIED FROM MEMORY: {copied['share']:.0%} of the words are copied from a report that the memory "
            f"retrieved{others_share(copied)}; {copied['whole']:.0%} of the reports are whole copies."
        )
        found.append(Sentence(text, True))
    found += [_beside(scores, group, name, gap) for (group, name), gap in gaps.items()]
    found += [_against(scores, name, protocols) for name, protocols in scores["comparisons"].items()]
    return found


def _beside(scores: Mapping[str, Any], group: str, name: str, gap: Gap) -> Sentence:
    first = next(iter(protocols_of(scores)))
    parts, below, unclear = [], [], []
    for metric, label in _watched(scores, gap).items():
        mine, theirs = (short(row[first][metric]["value"]) for row in (scores, scores[group][name]))
        parts.append(f"{label} {mine} against {theirs} ({spread(gap[metric])})")
        if name == TEMPLATE and gap[metric]["high"] < 0:
            below.append(label)
        elif gap[metric]["low"] <= 0:
            unclear.append(label)
    verdict = f" BELOW THE TEMPLATE by {' and '.join(below)}: THE NETWORK ADDS NOTHING THERE." if below else ""
    verdict += f" {_doubt(group, name)} by {' and '.join(unclear)}." if unclear else ""
    return Sentence(f"Compared with {called(name)}: {'; '.join(parts)}.{verdict}", bool(verdict))


def beats_constants(scores: Mapping[str, Any]) -> bool | None:
    """Whether the reports are clearly above each constant report by one watched metric or more.

    Args:
        scores: the contents of scores.json.

    Returns:
        None where no constant report was scored.
    """
    beside = scores.get("differences", {}).get("baselines", {})
    gaps = [gap for name, gap in beside.items() if name.startswith(CONSTANT)]
    above = [any(gap[metric]["low"] > 0 for metric in _watched(scores, gap)) for gap in gaps]
    return all(above) if above else None


def _watched(scores: Mapping[str, Any], known: Collection[str]) -> dict[str, str]:
    """Metric -> its name, of those that are known, with the side only if the references place enough findings."""
    enough = scores["location"]["ours"]["side"]["placed"] >= FEWEST_PAIRS
    return {key: label for key, label in WATCHED.items() if key in known and (enough or key != SIDE)}


def _against(scores: Mapping[str, Any], name: str, protocols: Mapping[str, Gap]) -> Sentence:
    first, metrics = next(iter(protocols.items()))
    watched = _watched(scores, metrics)
    parts = [
        f"{label} {short(scores[first][key]['value'])} against {short(scores['against'][name][first][key]['value'])} "
        f"({spread(metrics[key])}, p = {metrics[key]['p_value']:.3f})"
        for key, label in watched.items()
    ]
    unclear = [label for key, label in watched.items() if metrics[key]["p_value"] >= ALPHA]
    below = [label for key, label in watched.items() if metrics[key]["value"] < 0 and label not in unclear]
    verdict = f" NO SIGNIFICANT DIFFERENCE by {' and '.join(unclear)}." if unclear else ""
    verdict += f" BELOW IT by {' and '.join(below)}." if below else ""
    return Sentence(f"Against {name}: {'; '.join(parts)}.{verdict}", bool(verdict))


def protocols_of(scores: Mapping[str, Any]) -> list[str]:
    """The protocols of a result; the sentences use the first."""
    return list(scores["meta"]["protocols"])


def called(name: str) -> str:
    """The name of a baseline or guard in words."""
    return NAMES.get(name, name.replace("_", " "))


def _doubt(group: str, name: str) -> str:
    if group == "baselines":
        return "NOT CLEARLY ABOVE THIS BASELINE"
    if name == EXCHANGED:
        return "NO CLEAR LINK BETWEEN REPORTS AND THEIR STUDIES"
    if name.startswith("images"):
        return "NO CLEAR USE OF THE FILMS"
    return "NO CLEAR USE OF THE MEMORIES" if name.startswith("memory") else "NO CLEAR DIFFERENCE"


def short(value: float | None) -> str:
    """A score with three digits and without the leading zero; a dash for None."""
    return "-" if value is None else f"{value:z.3f}".removeprefix("0")


def signed(value: float) -> str:
    """A difference with its sign and three digits, without a leading zero: ``+.155``, ``-10.000``."""
    text = f"{value:+z.3f}"
    return text[0] + text[1:].removeprefix("0")


def spread(between: Mapping[str, float]) -> str:
    """A difference and its 95% interval as text."""
    value, low, high = (signed(between[key]) for key in ("value", "low", "high"))
    return f"{value}, 95% {low} to {high}"
