"""Comparison of two systems on the same studies: the difference, its interval, and its p-value.

The paired bootstrap estimates how the difference varies with the patients drawn. Approximate randomisation (Noreen
1989; Riezler and Maxwell 2005) exchanges the two systems' reports patient by patient, at random, and counts how often
the difference is at least as large. Both work on the sufficient statistics of :mod:`ammrg.metrics.language` and
:mod:`ammrg.metrics.clinical`: no text is scored again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.metrics.bootstrap import CHUNK, WeightedScores, paired_difference

Floats = NDArray[np.float64]


class Difference(NamedTuple):
    """First system minus second, in the units of the metric."""

    value: float
    low: float
    high: float
    """The 95% interval of the paired bootstrap."""
    p_value: float
    """From approximate randomisation, two-sided, in [1 / (draws + 1), 1]."""
    effect: float
    """The difference divided by its bootstrap standard error; 0 if the standard error is 0."""


def stacked(first: Any, second: Any) -> Any:
    """The statistics of two systems, one below the other: rows 0..n-1 are the first's, n..2n-1 the second's.

    Args:
        first: arrays ``[n ..]``, or named tuples or dicts of such arrays.
        second: the same for the second system.
    """
    if isinstance(first, dict):
        return {key: stacked(first[key], second[key]) for key in first}
    if isinstance(first, tuple):
        return type(first)(*(stacked(*pair) for pair in zip(first, second, strict=True)))
    return np.concatenate([first, second])


def taken(statistics: Any, rows: NDArray[np.intp]) -> Any:
    """The statistics of some studies: arrays ``[n ..]``, or named tuples or dicts of such arrays, at these rows."""
    if isinstance(statistics, dict):
        return {key: taken(value, rows) for key, value in statistics.items()}
    if isinstance(statistics, tuple):
        return type(statistics)(*(taken(each, rows) for each in statistics))
    return statistics[rows]


def swaps(subject_ids: Sequence[str], draws: int, seed: int = 0) -> NDArray[np.bool_]:
    """The studies whose two reports each draw exchanges: bool ``[draws n]``, all studies of a patient or none."""
    _, patient_of_study = np.unique(np.asarray(subject_ids, dtype=object).astype(str), return_inverse=True)
    coins = np.random.default_rng(seed).integers(2, size=(draws, int(patient_of_study.max()) + 1))
    exchanged: NDArray[np.bool_] = coins[:, patient_of_study] == 1
    return exchanged


def randomisation_p_values(both: WeightedScores, exchanged: NDArray[np.bool_]) -> dict[str, float]:
    """Two-sided p-values of approximate randomisation for every metric.

    Args:
        both: metric values of :func:`stacked` statistics under weights ``[r 2n]``.
        exchanged: ``[draws n]`` from :func:`swaps`.

    Returns:
        metric -> (1 + draws with a difference at least as large) / (1 + draws).
    """

    def differences(rows: NDArray[np.bool_]) -> dict[str, Floats]:
        other = rows.astype(np.float64)
        sides = [both(np.concatenate(pair, axis=1)) for pair in ((1 - other, other), (other, 1 - other))]
        return {key: sides[0][key] - sides[1][key] for key in sides[0]}

    observed = differences(np.zeros((1, exchanged.shape[1]), dtype=bool))
    counts = dict.fromkeys(observed, 0)
    for start in range(0, len(exchanged), CHUNK):
        for key, values in differences(exchanged[start : start + CHUNK]).items():
            # A draw that exchanges nothing must count, despite rounding.
            counts[key] += int((np.abs(values) >= abs(observed[key][0]) - 1e-12).sum())
    return {key: (1 + count) / (1 + len(exchanged)) for key, count in counts.items()}


def compare(
    first: Any,
    second: Any,
    scores: Callable[[Any, Floats], Mapping[str, Floats]],
    weights: Floats,
    exchanged: NDArray[np.bool_],
) -> dict[str, Difference]:
    """Compare two systems on the same studies, by every metric.

    Args:
        first: per-study statistics of n studies; see :func:`stacked`.
        second: the same of the second system, with the studies in the same order.
        scores: statistics and weights ``[r n]`` -> metric -> ``[r]``.
        weights: ``[resamples n]`` from :func:`ammrg.metrics.bootstrap.patient_weights`.
        exchanged: ``[draws n]`` from :func:`swaps`.
    """
    gaps = paired_difference(partial(scores, first), partial(scores, second), weights)
    chance = randomisation_p_values(partial(scores, stacked(first, second)), exchanged)
    return {
        key: Difference(
            gap["value"], gap["low"], gap["high"], chance[key], gap["value"] / gap["error"] if gap["error"] > 0 else 0.0
        )
        for key, gap in gaps.items()
    }
