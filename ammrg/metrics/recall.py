"""Recall: do the memories bring something else for each film, and is it right?

A query recalls patterns, the strongest first. Over the queries of n studies:

- ``distinct_first``: different patterns that are recalled first, divided by the number of queries;
- ``top_share``: the share of queries in which the commonest of them is recalled first;
- ``precision_at_1``, ``precision_at_5``: the share of patterns that are right, among the first, or the first five, of
  each judged query (the mean over queries; one that recalls nothing counts 0).

For regions a query is a pair (study, finding); for reports it is a study. Intervals are over patients. A resample has
some patients twice and others not at all, so it has fewer different patterns, and a larger share of the commonest, than
the studies themselves. Every interval is therefore moved by the bootstrap's estimate of this bias, the mean over the
resamples minus the value (Efron and Tibshirani 1993, chapter 10); for precisions it is near 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.metrics import bootstrap
from ammrg.metrics.location import Places
from ammrg.metrics.quotient import quotient
from ammrg.text.places import Place

Floats = NDArray[np.float64]
DEPTHS = (1, 5)
"""Numbers of strongest patterns that a precision looks at."""
PRECISIONS: tuple[str, ...] = tuple(f"precision_at_{depth}" for depth in DEPTHS)
KEYS: tuple[str, ...] = ("distinct_first", "top_share", *PRECISIONS)
OVERLAP = 0.5
"""Least Jaccard index of a recalled report's findings and those of the reference for the report to be right."""


class Query(NamedTuple):
    """What one query recalled."""

    study: int
    """Its study, 0 .. n-1."""
    patterns: tuple[int, ...]
    """Rows of the bank, strongest first; may be empty."""
    right: tuple[bool, ...] | None
    """Whether each of them is right; None if the query is not judged."""


class RecallStatistics(NamedTuple):
    """What each of n studies adds to the measures."""

    first: NDArray[np.int64]
    """``[m]``: the study of each of the m queries that recall something, in the order of their first patterns."""
    starts: NDArray[np.int64]
    """``[p]``: where in ``first`` the queries of each of the p different first patterns begin."""
    right: Floats
    """``[n 2]``: the sum over its judged queries of the share that is right, for each of :data:`DEPTHS`."""
    judged: Floats
    """``[n]``: its judged queries."""


def recall_statistics(queries: Sequence[Query], studies: int) -> RecallStatistics:
    """Per-study sums of the queries of ``studies`` studies."""
    firsts = np.array(sorted((query.patterns[0], query.study) for query in queries if query.patterns), np.int64)
    patterns, first = firsts.reshape(-1, 2).T
    right, judged = np.zeros((studies, len(DEPTHS))), np.zeros(studies)
    for query in queries:
        if query.right is not None:
            judged[query.study] += 1
            for column, depth in enumerate(DEPTHS):
                looked_at = query.right[:depth]
                right[query.study, column] += sum(looked_at) / max(1, len(looked_at))
    return RecallStatistics(first, np.unique(patterns, return_index=True)[1], right, judged)


def weighted_scores(statistics: RecallStatistics, weights: Floats) -> dict[str, Floats]:
    """All measures under study weights.

    Args:
        statistics: of n studies.
        weights: float64 ``[r n]``, >= 0.

    Returns:
        key -> ``[r]`` in [0, 1] for each of :data:`KEYS`; 0 where there is nothing to count.
    """
    drawn, judged = weights[:, statistics.first], weights @ statistics.judged
    counts = np.add.reduceat(drawn, statistics.starts, axis=1) if len(statistics.starts) else drawn
    total = counts.sum(axis=1)
    shares = [(counts > 0).sum(axis=1).astype(np.float64), counts.max(axis=1, initial=0.0)]
    scores = dict(zip(KEYS[:2], (quotient(part, total) for part in shares), strict=True))
    return scores | {
        key: quotient(part, judged) for key, part in zip(PRECISIONS, (weights @ statistics.right).T, strict=True)
    }


def recall_scores(statistics: RecallStatistics, weights: Floats) -> dict[str, dict[str, float | None]]:
    """Each measure with its 95% interval: ``key -> {value, low, high}``.

    Args:
        statistics: of n studies.
        weights: ``[r n]`` of :func:`ammrg.metrics.bootstrap.patient_weights`; without rows there are no intervals.

    Returns:
        All of :data:`KEYS`; the value is None too where there is nothing to count.
    """
    scores = partial(weighted_scores, statistics)
    plain, drawn = scores(np.ones((1, weights.shape[1]))), bootstrap.resampled(scores, weights)
    without = _undefined(statistics)
    table: dict[str, dict[str, float | None]] = {}
    for key in KEYS:
        value = None if key in without else float(plain[key][0])
        low, high = (None, None) if value is None or not drawn else _moved(value, drawn[key])
        table[key] = {
            "value": value,
            "low": None if low is None else max(0.0, low),
            "high": None if high is None else min(1.0, high),
        }
    return table


def recall_difference(
    first: RecallStatistics, second: RecallStatistics, weights: Floats
) -> dict[str, dict[str, float]]:
    """First minus second on the same resamples of the same studies: ``key -> {value, low, high}``.

    Args:
        first: of n studies.
        second: of the same studies.
        weights: ``[r n]``, r > 0.

    Measures for which either has nothing to count are left out.
    """
    both = [partial(weighted_scores, each) for each in (first, second)]
    ones = np.ones((1, weights.shape[1]))
    plain, drawn = [scores(ones) for scores in both], [bootstrap.resampled(scores, weights) for scores in both]
    table = {}
    for key in KEYS:
        if key not in _undefined(first) | _undefined(second):
            value = float(plain[0][key][0] - plain[1][key][0])
            low, high = _moved(value, drawn[0][key] - drawn[1][key])
            table[key] = {"value": value, "low": low, "high": high}
    return table


def _undefined(statistics: RecallStatistics) -> set[str]:
    nothing = set() if len(statistics.starts) else set(KEYS[:2])
    return nothing if statistics.judged.any() else nothing | set(PRECISIONS)


def _moved(value: float, drawn: Floats) -> tuple[float, float]:
    """The central 95% of the resamples, moved so that their mean is the value."""
    return bootstrap.interval(drawn + (value - drawn.mean()))


def region_is_right(finding: str, reference: Place, mined_for: str | None, place: Place | None) -> bool:
    """Whether a recalled region shows the query's finding where the reference has it.

    Args:
        finding: the finding of the query.
        reference: the place of the finding in the study; at least one of side and level is named.
        mined_for: the finding that the region was mined for.
        place: where the region is; None: unknown.

    Returns:
        Whether it was mined for the same finding, and its sides, and its levels, are among those that the reference
        names. If the reference names only a side (or level), only that counts; a region whose side is unknown is then
        wrong. A region is one part of one lung, so either side is right where the reference names both.
    """
    where = place or Place()
    pairs = ((where.side, reference.side), (where.level, reference.level))
    return mined_for == finding and all(bool(ours) and ours <= theirs for ours, theirs in pairs if theirs)


def report_is_right(reference: Places, recalled: Places) -> bool:
    """Whether two reports affirm mostly the same abnormal findings on the same sides.

    Args:
        reference: finding -> place of the reference, see :func:`ammrg.text.places.finding_places`.
        recalled: the same of the recalled report.

    Returns:
        Whether the Jaccard index of their sets of (finding, side) is at least :data:`OVERLAP`. A finding without a side
        counts as one element, a finding on both sides as two. Two reports without findings are alike.
    """
    sets = [
        {(finding, side) for finding, place in places.items() for side in place.side or ("",)}
        for places in (reference, recalled)
    ]
    union = sets[0] | sets[1]
    return not union or len(sets[0] & sets[1]) / len(union) >= OVERLAP
