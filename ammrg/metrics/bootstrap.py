"""Percentile bootstrap over patients, with all resamples computed at once.

A resample is a row of weights: how often each study was drawn. If a metric can be computed from weighted per-study
sufficient statistics, one matrix product gives all its resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ScoringError

Floats = NDArray[np.float64]
WeightedScores = Callable[[Floats], Mapping[str, Floats]]
"""weights ``[r n]`` -> metric -> ``[r]``."""

RESAMPLES = 1000
LEVEL = 95.0
FEWEST_PATIENTS = 5
"""With fewer patients there are at most 35 different resamples, too few for an interval with tails of 2.5% each."""
FEW_PATIENTS = 20
"""With fewer patients the interval is too narrow: with 10 normal values it covers the mean in 90% of cases, not 95%."""
FEWEST_RESAMPLES = 20
"""With fewer resamples a 95% interval has no tails: 20 leave one beyond it."""
FEW_RESAMPLES = 100
"""With fewer resamples the ends of an interval are mostly chance: at most two of them lie beyond each."""
CHUNK = 250
"""Resamples drawn and computed together; this limits the memory for a data set as large as MIMIC-CXR."""


def patient_weights(subject_ids: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """How often each study is drawn, float64 ``[resamples n]``.

    As many patients as there are are drawn with replacement, each with all its studies. Studies of one patient are
    alike, and drawing them apart would make the interval too narrow. Equal arguments give equal weights, so two systems
    scored on the same studies are compared in pairs.

    Raises:
        ScoringError: if there are no studies.
    """
    if not len(subject_ids):
        raise ScoringError("bootstrap: no studies.")
    patients, patient_of_study = np.unique(np.asarray(subject_ids, dtype=object).astype(str), return_inverse=True)
    generator = np.random.default_rng(seed)
    count = len(patients)
    weights = np.empty((resamples, len(patient_of_study)))
    for start in range(0, resamples, CHUNK):
        chunk = weights[start : start + CHUNK]
        drawn = generator.integers(count, size=(len(chunk), count))
        drawn += np.arange(len(chunk))[:, None] * count
        counts = np.bincount(drawn.ravel(), minlength=len(chunk) * count).reshape(len(chunk), count)
        chunk[:] = counts[:, patient_of_study]
    return weights


def check_resamples(asked: str, resamples: int) -> None:
    """Refuse a number of resamples that gives no interval; 0 asks for none.

    Args:
        asked: how the number was given, for the message.
        resamples: the number.

    Raises:
        ScoringError: it is neither 0 nor at least :data:`FEWEST_RESAMPLES`.
    """
    if resamples != 0 and resamples < FEWEST_RESAMPLES:
        raise ScoringError(
            f"{asked}={resamples}: too few resamples for an interval; give at least {FEWEST_RESAMPLES} (better "
            f"{RESAMPLES}), or 0 for no intervals."
        )


def drawable(patients: int, resamples: int) -> int:
    """The number of resamples to draw: 0 with fewer than :data:`FEWEST_PATIENTS` patients, else ``resamples``.

    With so few patients the interval has almost no width, and would look certain.
    """
    return resamples if patients >= FEWEST_PATIENTS else 0


def resampled(scores: WeightedScores, weights: Floats) -> dict[str, Floats]:
    """Every metric under every row of weights: metric -> ``[r]``."""
    parts = [scores(weights[start : start + CHUNK]) for start in range(0, len(weights), CHUNK)]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]} if parts else {}


def interval(values: Floats, level: float = LEVEL) -> tuple[float, float]:
    """The central ``level`` per cent of resampled values (percentile method), without those that are NaN.

    Two NaN if no value is left.
    """
    if np.isnan(values).all():
        return math.nan, math.nan
    tail = (100.0 - level) / 2
    low, high = np.nanpercentile(values, [tail, 100.0 - tail])
    return float(low), float(high)


def with_interval(values: Floats) -> dict[str, float | None]:
    """``{value, low, high}`` of the plain value, which is first, and the resampled values after it: ``[1 + r]``.

    None where undefined: all three if the plain value is NaN, the interval if no resampled value is a number.
    """
    value = float(values[0])
    low, high = (math.nan, math.nan) if math.isnan(value) else interval(values[1:])
    found = {"value": value, "low": low, "high": high}
    return {key: None if math.isnan(number) else number for key, number in found.items()}


def with_intervals(scores: WeightedScores, weights: Floats) -> dict[str, dict[str, float | None]]:
    """``metric -> {value, low, high}``: the plain value and its 95% interval (:func:`with_interval`).

    Args:
        scores: metric values under study weights.
        weights: ``[r n]`` of :func:`patient_weights`; r may be 0.
    """
    return {key: with_interval(values) for key, values in plain_and_resampled(scores, weights).items()}


def plain_and_resampled(scores: WeightedScores, weights: Floats) -> dict[str, Floats]:
    """Every metric: its plain value, then its value for each row of weights: metric -> ``[1 + r]``."""
    plain = scores(np.ones((1, weights.shape[1])))
    spread = resampled(scores, weights)
    return {key: np.append(value, spread.get(key, ())) for key, value in plain.items()}


def difference(first: Floats, second: Floats) -> dict[str, float]:
    """First minus second on the same resamples, both ``[1 + r]`` of :func:`plain_and_resampled`, r > 0.

    Returns:
        ``{value, low, high, error}``: ``low`` and ``high`` are the 95% interval, ``error`` is the standard error,
        of the resamples in which both are numbers.
    """
    gap = first - second
    low, high = interval(gap[1:])
    return {
        "value": float(gap[0]),
        "low": low,
        "high": high,
        "error": float(np.nanstd(gap[1:])) if np.isfinite(gap[1:]).any() else math.nan,
    }


def paired_difference(first: WeightedScores, second: WeightedScores, weights: Floats) -> dict[str, dict[str, float]]:
    """First minus second on the same resamples of the same studies: metric -> :func:`difference`."""
    sides = [plain_and_resampled(scores, weights) for scores in (first, second)]
    return {key: difference(values, sides[1][key]) for key, values in sides[0].items()}
