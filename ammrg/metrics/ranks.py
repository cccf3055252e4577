"""Where systems stand in one metric: ranks with their uncertainty, and paired differences from the best.

All systems are resampled together, so a resample gives each of them a rank (1 is best; equal values share the mean of
their ranks). The expected rank is the mean over the resamples, and its interval is the central 95% of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.metrics import bootstrap

Floats = NDArray[np.float64]
Between = tuple[float, float]
DIGITS = 12
"""Values are compared to this many decimals, because equal reports may differ in the rounding of sums."""


class Standing(NamedTuple):
    """One system in one metric."""

    value: float
    interval: Between | None
    """95%; None without resamples."""
    rank: float
    """By the plain values."""
    best: bool
    """Whether no system has a higher value."""
    close: bool
    """Whether it is not clearly below the best: the interval of the paired difference reaches 0. The best is not."""
    expected_rank: float | None
    rank_interval: Between | None
    below: float
    """This system minus the best, at most 0."""
    below_interval: Between | None


def ranks(values: Floats) -> Floats:
    """The rank of each of s systems in each of r resamples, both ``[s r]``; a higher value is better."""
    rounded = np.round(values, DIGITS)
    better = (rounded[None] > rounded[:, None]).sum(axis=1)
    equal = (rounded[None] == rounded[:, None]).sum(axis=1)
    found: Floats = better + (equal + 1) / 2
    return found


def standings(values: Floats) -> list[Standing]:
    """Where s systems stand.

    Args:
        values: ``[s 1+r]``: the plain value of each system, then its values on the r resamples, which all systems
            share. Higher is better. No plain value is NaN; resamples in which one is, for any system, are left out.
    """
    values = values[:, np.isfinite(values).all(axis=0)]
    found, best = ranks(values), int(np.argmax(np.round(values[:, 0], DIGITS)))
    rows = []
    for own, rank in zip(values, found, strict=True):
        has, gap = len(own) > 1, np.round(own - values[best], DIGITS) + 0.0
        between = [bootstrap.interval(each[1:]) if has else None for each in (own, rank, gap)]
        is_best = bool(gap[0] == 0)
        rows.append(
            Standing(
                value=float(own[0]),
                interval=between[0],
                rank=float(rank[0]),
                best=is_best,
                close=not is_best and between[2] is not None and between[2][1] >= 0,
                expected_rank=float(rank[1:].mean()) if has else None,
                rank_interval=between[1],
                below=float(gap[0]),
                below_interval=between[2],
            )
        )
    return rows
