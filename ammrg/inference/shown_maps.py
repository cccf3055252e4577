"""The film of a study that a page shows, and the findings whose maps are drawn over it."""

from __future__ import annotations

from collections.abc import Sequence

from ammrg.findings import ABNORMAL
from ammrg.thresholds import is_predicted


def shown_view(projections: Sequence[str]) -> int:
    """Return the index of the first frontal film, or 0 where none is frontal."""
    return projections.index("frontal") if "frontal" in projections else 0


def shown_findings(probabilities: Sequence[float], thresholds: Sequence[float]) -> list[int]:
    """Choose the abnormal findings above their thresholds, or the most probable one where none is.

    Args:
        probabilities: of all 14 findings.
        thresholds: of all 14 findings.

    Returns:
        Indices into :data:`ammrg.findings.FINDINGS`, most probable first.
    """
    likeliest = sorted(ABNORMAL, key=lambda i: -probabilities[i])
    return [i for i in likeliest if is_predicted(probabilities[i], thresholds[i])] or likeliest[:1]
