"""Checks that two ways of computing the same thing agree, before their times are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor


def gap(found: Tensor, wanted: Tensor) -> float:
    """The largest difference, relative to the largest wanted value.

    It is inf if either tensor has a value that is not finite, because a maximum may ignore NaN.
    """
    if found.shape != wanted.shape or not (found.isfinite().all() and wanted.isfinite().all()):
        return math.inf
    difference, largest = float((found - wanted).abs().max()), float(wanted.abs().max())
    if difference == 0.0:
        return 0.0
    return difference / largest if largest else math.inf


def check_gaps(gaps: Mapping[str, float], most: float, what: str) -> float:
    """The largest of the named gaps.

    Raises:
        SystemExit: a gap is above ``most`` or NaN, or there is no gap.
    """
    apart = {name: value for name, value in gaps.items() if not value <= most}
    if apart or not gaps:
        raise SystemExit(f"{what} differ by more than {most:.0e} of the largest value: {apart or 'nothing to compare'}")
    return max(gaps.values())
