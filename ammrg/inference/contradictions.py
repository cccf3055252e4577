"""Warnings where the findings table of a network contradicts itself, or a report contradicts the table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ammrg.findings import ABNORMAL, EXCLUDED_BY_NO_FINDING, FINDINGS, NEGATIVE, NO_FINDING, POSITIVE
from ammrg.text.labeler import label, suspected_findings
from ammrg.thresholds import figures, is_predicted


def contradictions(report: str, probabilities: Mapping[str, float], thresholds: Mapping[str, float]) -> Iterator[str]:
    """Name each abnormal finding that the report denies and the table affirms, or only the report affirms or suspects.

    The first sentence names those that the table affirms together with "No Finding", which says that there are none:
    each has a threshold of its own.

    What the report does not mention is no contradiction, nor a suspicion of what the table affirms. The rule-based
    labeler reads the report.

    Args:
        report: the generated text.
        probabilities: of the findings.
        thresholds: finding -> the probability above which the table affirms it.
    """
    affirmed = [name for name in FINDINGS if is_predicted(probabilities[name], thresholds[name])]
    excluded = [FINDINGS[i] for i in EXCLUDED_BY_NO_FINDING if FINDINGS[i] in affirmed]
    if FINDINGS[NO_FINDING] in affirmed and excluded:
        yield (
            "WARNING: the findings table contradicts itself: No Finding is above its threshold together with "
            f"{', '.join(excluded)}; look at the film."
        )
    said, suspected = dict(zip(FINDINGS, label(report), strict=True)), suspected_findings(report)
    for name in (FINDINGS[i] for i in ABNORMAL):
        value, threshold = probabilities[name], thresholds[name]
        shown = "(probability {}, threshold {})".format(*figures(value, threshold))
        if name in affirmed:
            if said[name] == NEGATIVE:
                yield f"WARNING: the report denies {name}, but the findings table affirms it {shown}."
        elif said[name] == POSITIVE or name in suspected:
            verb = "suspects" if name in suspected else "affirms"
            yield f"WARNING: the report {verb} {name}, but the findings table does not affirm it {shown}."
