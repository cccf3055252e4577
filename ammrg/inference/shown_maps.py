"""Which film of a study is shown, and the maps of which findings are laid over it."""

from __future__ import annotations

from collections.abc import Sequence

from ammrg.findings import ABNORMAL
from ammrg.thresholds import is_predicted


def shown_view(projections: Sequence[str]) -> int:
    """The first frontal film, else the first: its index among the study's films."""
    return projections.index("frontal") if "frontal" in projections else 0


def shown_findings(probabilities: Sequence[float], thresholds: Sequence[float]) -> list[int]:
    """The abnormal findings above their thresholds, likeliest first; the likeliest alone where none is.

    Args:
        probabilities, thresholds: of all 14 findings.

    Returns:
        Indices into :data:`ammrg.findings.FINDINGS`.
    """
    likeliest = sorted(ABNORMAL, key=lambda i: -probabilities[i])
    return [i for i in likeliest if is_predicted(probabilities[i], thresholds[i])] or likeliest[:1]
