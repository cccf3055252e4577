"""Mirrored films: does the side in a report follow the film?

A network writes each report twice, from the films as they are and from the same films flipped left to right. Every
finding on one side is then on the other, so a report that takes its sides from the film names the other side. One that
takes them from habit, or from a memory, does not. No reference is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ScoringError
from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.metrics import bootstrap
from ammrg.metrics.location import Places
from ammrg.metrics.quotient import quotient

Floats = NDArray[np.float64]

OUTCOMES = ("flipped", "kept", "both", "unsided", "dropped")
"""What the report of the mirrored films says of a finding that the original report puts on one side: the other side,
the same side, both sides, no side, or nothing of the finding. Only ``flipped`` follows the film."""
FOLLOWS = "mirrored_follows"
"""The key of :func:`mirrored_follows` in scores.json, under the guard ``films_mirrored``."""


def outcome_counts(original: Sequence[Places], mirrored: Sequence[Places]) -> Floats:
    """Each study's number of findings with each outcome: float64 ``[n 5]``, columns as in :data:`OUTCOMES`.

    Args:
        original: the places of n reports, see :func:`ammrg.text.places.finding_places`.
        mirrored: the places of the reports of the same n studies, written from mirrored films.

    Raises:
        ScoringError: if the lengths differ, or there are no studies.
    """
    if len(original) != len(mirrored):
        raise ScoringError(f"mirrored films: {len(original)} reports, but {len(mirrored)} of mirrored films.")
    if not original:
        raise ScoringError("mirrored films: no studies to score.")
    counts = np.zeros((len(original), len(OUTCOMES)))
    for row, (before, after) in enumerate(zip(original, mirrored, strict=True)):
        for outcome in outcomes(before, after).values():
            counts[row, OUTCOMES.index(outcome)] += 1
    return counts


def outcomes(before: Places, after: Places) -> dict[str, str]:
    """Tell what the report of mirrored films says of each finding that the original report puts on one side.

    Args:
        before: the places of the original report.
        after: those of the report of the same films, mirrored.

    Returns:
        Abnormal finding -> one of :data:`OUTCOMES`.
    """
    names = (FINDINGS[i] for i in ABNORMAL)
    return {name: _outcome(before, after, name) for name in names if name in before and len(before[name].side) == 1}


def _outcome(before: Places, after: Places, name: str) -> str:
    if name not in after:
        return "dropped"
    side = after[name].side
    if len(side) != 1:
        return "both" if side else "unsided"
    return "kept" if side == before[name].side else "flipped"


def mirrored_follows(counts: Floats, weights: Floats) -> dict[str, Any]:
    """The share of findings on one side whose side flips with the films.

    Args:
        counts: from :func:`outcome_counts`, n studies.
        weights: ``[r n]`` of :func:`ammrg.metrics.bootstrap.patient_weights`; r may be 0.

    Returns:
        ``value``, the share in [0, 1], with its 95% interval ``low``, ``high``, all three None if there is no such
        finding; ``n``, the number of findings on one side; and how many of them have each of :data:`OUTCOMES`.
    """
    totals = {name: int(count) for name, count in zip(OUTCOMES, counts.sum(axis=0), strict=True)}
    n = sum(totals.values())
    if not n:
        return {"value": None, "low": None, "high": None, "n": 0, **totals}
    (share,) = bootstrap.with_intervals(partial(_share, counts), weights).values()
    return {**share, "n": n, **totals}


def _share(counts: Floats, weights: Floats) -> dict[str, Floats]:
    flipped, pairs = weights @ counts[:, 0], weights @ counts.sum(axis=1)
    return {FOLLOWS: quotient(flipped, pairs)}
