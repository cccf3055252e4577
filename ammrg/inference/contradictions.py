"""Warnings where a report contradicts the findings table of the network that wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ammrg.findings import ABNORMAL, FINDINGS, NEGATIVE, POSITIVE
from ammrg.text.labeler import label
from ammrg.thresholds import is_predicted


def contradictions(report: str, probabilities: Mapping[str, float], thresholds: Mapping[str, float]) -> Iterator[str]:
    """Name each abnormal finding that the report denies and the table affirms, or the other way round, in a sentence.

    What the report leaves open or does not mention is no contradiction. The rule-based labeler reads the report.

    Args:
        report: the generated text.
        probabilities: of the findings.
        thresholds: finding -> the probability above which the table affirms it.
    """
    said = dict(zip(FINDINGS, label(report), strict=True))
    for name in (FINDINGS[i] for i in ABNORMAL):
        value, threshold = probabilities[name], thresholds[name]
        figures = f"(probability {value:.2f}, threshold {threshold:.2f})"
        if is_predicted(value, threshold):
            if said[name] == NEGATIVE:
                yield f"WARNING: the report denies {name}, but the findings table affirms it {figures}."
        elif said[name] == POSITIVE:
            yield f"WARNING: the report affirms {name}, but the findings table does not {figures}."
