"""Clinical efficacy: do generated and reference reports name the same findings?

The same labeler labels both texts. Blank is negative; uncertain counts as negative (``neg``) or positive (``pos``). All
averages come from per-study counts, so every bootstrap resample is a weighting of the studies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ammrg.errors import ScoringError
from ammrg.findings import ABNORMAL, FINDINGS, FIVE, NUM_FINDINGS, UNCERTAIN
from ammrg.metrics.quotient import quotient

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SELECTIONS: dict[str, tuple[int, ...]] = {"14": tuple(range(NUM_FINDINGS)), "13": ABNORMAL, "5": FIVE}
"""Findings in an average: all 14, the 13 without No Finding, CheXpert's five."""
AVERAGES = ("micro", "macro", "example")
PARTS = ("precision", "recall", "f1")
UNCERTAIN_AS = ("neg", "pos")
KEYS: tuple[str, ...] = tuple(
    f"clinical_{average}_{part}_{selection}_{uncertain}"
    for uncertain in UNCERTAIN_AS
    for selection in SELECTIONS
    for average in AVERAGES
    for part in PARTS
)


class ClinicalStatistics(NamedTuple):
    """The positive labels of both sides, with "uncertain" counted in one way."""

    reference: Bools
    """``[n 14]``."""
    generated: Bools
    """``[n 14]``."""


def positives(labels: ArrayLike, uncertain: str) -> Bools:
    """Whether each label is positive, bool ``[n 14]``: 1 is, 0 and NaN are not, -1 is if ``uncertain`` is "pos".

    Raises:
        ScoringError: if the labels are not ``[n 14]`` of 1, 0, -1, NaN.
    """
    table = np.asarray(labels, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != NUM_FINDINGS:
        raise ScoringError(f"labels must be [n {NUM_FINDINGS}], got {list(table.shape)}.")
    if not np.all(np.isin(table, (1.0, 0.0, -1.0)) | np.isnan(table)):
        raise ScoringError("labels must be 1, 0, -1 or NaN; threshold probabilities first.")
    positive: Bools = table == 1.0
    return positive | (table == UNCERTAIN) if uncertain == "pos" else positive


def clinical_statistics(reference_labels: ArrayLike, generated_labels: ArrayLike) -> dict[str, ClinicalStatistics]:
    """Per-study positives for each way to count "uncertain" (neg, pos); arguments as in :func:`clinical_scores`."""
    found = {
        name: ClinicalStatistics(positives(reference_labels, name), positives(generated_labels, name))
        for name in UNCERTAIN_AS
    }
    reference, generated = found["neg"]
    if len(reference) != len(generated):
        raise ScoringError(f"{len(reference)} reference label rows, but {len(generated)} generated ones.")
    if len(reference) == 0:
        raise ScoringError("no studies to score.")
    return found


def _where_asked(scores: tuple[Floats, Floats, Floats], support: Floats) -> tuple[Floats, Floats, Floats]:
    """Precision, recall and F1, NaN in resamples without a positive reference: none can be right in them."""
    precision, recall, f1 = (np.where(support > 0, part, np.nan) for part in scores)
    return precision, recall, f1


def _precision_recall_f1(true: Floats, predicted: Floats, support: Floats) -> tuple[Floats, Floats, Floats]:
    return quotient(true, predicted), quotient(true, support), quotient(2 * true, predicted + support)


def weighted_scores(statistics: dict[str, ClinicalStatistics], weights: Floats) -> dict[str, Floats]:
    """All averages under study weights.

    Args:
        statistics: from :func:`clinical_statistics`, n studies.
        weights: float64 ``[r n]``, >= 0; a row of ones gives the plain score, a row of bootstrap counts a resample.

    Returns:
        key -> ``[r]``, for each of :data:`KEYS`. Micro averages are NaN where a row leaves no positive reference.
    """
    scores: dict[str, Floats] = {}
    total = weights.sum(axis=1)
    for uncertain, (reference, generated) in statistics.items():
        both = (reference & generated).astype(np.float64)
        predicted, support = generated.astype(np.float64), reference.astype(np.float64)
        sums = [weights @ table for table in (both, predicted, support)]  # each [r 14]
        for name, chosen in SELECTIONS.items():
            index = list(chosen)
            per_finding = [table[:, index] for table in sums]
            per_study = [table[:, index].sum(axis=1) for table in (both, predicted, support)]
            pooled = [table.sum(axis=1) for table in per_finding]
            averaged = {
                "micro": _where_asked(_precision_recall_f1(*pooled), pooled[2]),
                "macro": tuple(part.mean(axis=1) for part in _precision_recall_f1(*per_finding)),
                "example": tuple(weights @ part / total for part in _precision_recall_f1(*per_study)),
            }
            for average, parts in averaged.items():
                for part, value in zip(PARTS, parts, strict=True):
                    scores[f"clinical_{average}_{part}_{name}_{uncertain}"] = value
    return scores


def undefined(statistics: dict[str, ClinicalStatistics]) -> set[str]:
    """The keys of the averages over findings of which the references affirm none, so that no report can be right."""
    return {
        key
        for uncertain, (reference, _) in statistics.items()
        for name, chosen in SELECTIONS.items()
        if not reference[:, list(chosen)].any()
        for key in KEYS
        if key.endswith(f"_{name}_{uncertain}")
    }


def clinical_scores(reference_labels: ArrayLike, generated_labels: ArrayLike) -> dict[str, float]:
    """Micro, macro and example-based precision, recall and F1.

    Args:
        reference_labels: ``[n 14]``, 1 positive, 0 negative, -1 uncertain, NaN unmentioned (negative).
        generated_labels: the same for the generated reports, by the same labeler.

    Returns:
        ``clinical_{micro,macro,example}_{precision,recall,f1}_{14,13,5}_{neg,pos}`` in [0, 1]. A finding (macro) or
        a study (example) with neither support nor predictions counts as 0, as in scikit-learn's ``zero_division=0``;
        micro averages are NaN where the references affirm none of the findings.

    Raises:
        ScoringError: if the lengths differ, there are no studies, or a label has another value.
    """
    statistics = clinical_statistics(reference_labels, generated_labels)
    ones = np.ones((1, len(statistics["neg"].reference)))
    return {key: float(value[0]) for key, value in weighted_scores(statistics, ones).items()}


def finding_table(
    reference_labels: ArrayLike, generated_labels: ArrayLike, uncertain: str = "neg"
) -> dict[str, dict[str, float]]:
    """Each finding's precision, recall, F1 (0 if undefined), support and number of predictions."""
    reference, generated = clinical_statistics(reference_labels, generated_labels)[uncertain]
    true, predicted, support = (
        table.sum(axis=0).astype(np.float64) for table in (reference & generated, generated, reference)
    )
    precision, recall, f1 = _precision_recall_f1(true, predicted, support)
    return {
        name: {
            "precision": float(precision[i]),
            "recall": float(recall[i]),
            "f1": float(f1[i]),
            "support": int(support[i]),
            "predicted": int(predicted[i]),
        }
        for i, name in enumerate(FINDINGS)
    }


def silent_findings(table: dict[str, dict[str, float]]) -> Sequence[str]:
    """Findings with neither support nor predictions, which count as 0 in the macro average."""
    return [name for name, row in table.items() if row["support"] == 0 and row["predicted"] == 0]
