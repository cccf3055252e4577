"""Invented: how many reports speak of what one film cannot show?

A report that was written without an earlier film and without a measurement invents every change since an earlier film,
every size in cm or mm, and every distance of a tube's tip. The share of such reports stands beside the references'
share. :mod:`ammrg.text.unseen` reads the texts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ScoringError
from ammrg.metrics import bootstrap
from ammrg.text.unseen_words import KINDS

Floats = NDArray[np.float64]

ANY = "invented"
KEYS: tuple[str, ...] = (ANY, *(f"{ANY}_{kind}" for kind in KINDS))
"""The share of reports with any of the kinds, and with each."""
REFERENCES = "_references"
"""Ending of the references' share."""


class InventedStatistics(NamedTuple):
    """Which studies' texts speak of what one film cannot show: key of :data:`KEYS` -> 0 or 1, ``[n]``."""

    generated: dict[str, Floats]
    references: dict[str, Floats]
    """Empty if the references' share is not wanted."""


def invented_statistics(
    reference: Sequence[Collection[str]], generated: Sequence[Collection[str]]
) -> InventedStatistics:
    """What each study adds to the shares.

    Args:
        reference: the kinds that each of n references speaks of, from :func:`ammrg.text.unseen.unseen_kinds`.
        generated: the same of the n generated reports.

    Raises:
        ScoringError: if the lengths differ, or there are no studies.
    """
    if len(reference) != len(generated):
        raise ScoringError(f"invented: {len(reference)} references, but {len(generated)} generated reports.")
    if not reference:
        raise ScoringError("invented: no studies to score.")
    return InventedStatistics(_spoken(generated), _spoken(reference))


def _spoken(texts: Sequence[Collection[str]]) -> dict[str, Floats]:
    kinds = {f"{ANY}_{kind}": np.array([kind in each for each in texts], dtype=np.float64) for kind in KINDS}
    return {ANY: np.array([bool(each) for each in texts], dtype=np.float64), **kinds}


def weighted_scores(statistics: InventedStatistics, weights: Floats) -> dict[str, Floats]:
    """The shares under study weights ``[r n]``: key -> ``[r]`` in [0, 1]; the references' with ``_references``."""
    total = weights.sum(axis=1)
    shares = {key: weights @ values / total for key, values in statistics.generated.items()}
    return shares | {f"{key}{REFERENCES}": weights @ values / total for key, values in statistics.references.items()}


def report_counts(statistics: InventedStatistics) -> dict[str, dict[str, int]]:
    """The number of texts behind each share: ``generated`` and ``references`` -> key -> count."""
    return {
        side: {key: int(values.sum()) for key, values in spoken.items()}
        for side, spoken in statistics._asdict().items()
    }


def above_references(statistics: InventedStatistics, weights: Floats) -> dict[str, dict[str, float]]:
    """The reports' share minus the references' on the same resamples: ``key -> {value, low, high, error}``.

    Args:
        statistics: with the references.
        weights: ``[r n]`` of :func:`ammrg.metrics.bootstrap.patient_weights`, r > 0.
    """
    ours, theirs = (InventedStatistics(spoken, {}) for spoken in statistics)
    return bootstrap.paired_difference(partial(weighted_scores, ours), partial(weighted_scores, theirs), weights)
