"""Location: do generated and reference reports put the same findings in the same place?

Clinical efficacy asks whether a finding is named; these measures ask where. For each of two aspects, side and level,
they count over pairs (study, finding) that both texts affirm:

- agreement: among the pairs that both texts place, the share with the same set of sides (or levels);
- F1: micro F1 over triples (study, finding, element of the set). A place that the reference names and the report does
  not costs recall, so silence does not pay.

The chance of each is its mean where the generated places of each finding are exchanged at random among the studies
whose reports affirm this finding. All are computed from per-study counts, so every bootstrap resample is a weighting of
the studies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ScoringError
from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.metrics import bootstrap
from ammrg.metrics.quotient import quotient
from ammrg.text.place_words import LEVELS, SIDES
from ammrg.text.places import Place

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]
"""Sets of sides and levels, one bit for each word."""
Places = Mapping[str, Place]
"""The place of each finding that a text affirms, see :func:`ammrg.text.places.finding_places`."""

ASPECTS: dict[str, tuple[str, ...]] = {"side": SIDES, "level": LEVELS}
"""The elements that the set of each aspect may have."""
PARTS = ("agreement", "f1")
KEYS: tuple[str, ...] = tuple(f"location_{aspect}_{part}" for aspect in ASPECTS for part in PARTS)
CHANCE = "_chance"
"""Ending of the chance of a measure."""
DRAWS = 100
"""Number of random exchanges whose mean is the chance."""
FEWEST_PAIRS = 40
"""With fewer pairs (for F1: placed references) there is no verdict."""


_BITS = {word: 1 << i for i, word in enumerate((*SIDES, *LEVELS))}
_MASKS = {aspect: np.uint8(sum(_BITS[word] for word in words)) for aspect, words in ASPECTS.items()}
_SIZES = np.array([code.bit_count() for code in range(1 << len(_BITS))], dtype=np.uint8)
"""Code -> number of words in the set."""


class Counts(NamedTuple):
    """What each study adds to the measures of one aspect.

    Each is uint8 ``[n]``, or ``[n d]`` for d random exchanges; ``support`` and ``placed``, which no exchange changes,
    are then ``[n 1]``.
    """

    pairs: Codes
    """Findings that both texts affirm and place."""
    same: Codes
    """Those of them with the same set."""
    true: Codes
    """Elements that both texts name for a finding."""
    predicted: Codes
    """Elements that the generated report names."""
    support: Codes
    """Elements that the reference names."""
    placed: Codes
    """Findings that the reference affirms and places."""


class LocationStatistics(NamedTuple):
    """Each study's counts, by aspect."""

    found: dict[str, Counts]
    chance: dict[str, Counts]
    """The same after random exchanges; empty if the chance is not wanted."""


def location_statistics(
    reference: Sequence[Places], generated: Sequence[Places], draws: int = DRAWS, seed: int = 0
) -> LocationStatistics:
    """Per-study counts, and the same after ``draws`` random exchanges of the generated places.

    Args:
        reference: the places of n reference reports.
        generated: the places of the n generated reports.
        draws: number of random exchanges; 0: no chance.
        seed: of the exchanges. Equal arguments give equal counts.

    Raises:
        ScoringError: if the lengths differ, or there are no studies.
    """
    if len(reference) != len(generated):
        raise ScoringError(f"location: {len(reference)} references, but {len(generated)} generated reports.")
    if not reference:
        raise ScoringError("location: no studies to score.")
    (theirs, _), (ours, affirmed) = _codes(reference), _codes(generated)
    found = {aspect: _counts(theirs & mask, ours & mask) for aspect, mask in _MASKS.items()}
    if not draws:
        return LocationStatistics(found, {})
    drawn = _exchanged(ours, affirmed, draws, seed)
    chance = {aspect: _counts(theirs[:, None] & mask, drawn & mask) for aspect, mask in _MASKS.items()}
    return LocationStatistics(found, chance)


def _codes(places: Sequence[Places]) -> tuple[Codes, NDArray[np.bool_]]:
    """The place of each finding, and whether the text affirms it: ``[13 n]``. A finding not affirmed has no place."""
    column = {FINDINGS[i]: row for row, i in enumerate(ABNORMAL)}
    codes = np.zeros((len(column), len(places)), dtype=np.uint8)
    affirmed = np.zeros(codes.shape, dtype=bool)
    for study, each in enumerate(places):
        for name, place in each.items():
            if name in column:
                affirmed[column[name], study] = True
                codes[column[name], study] = sum(_BITS[word] for word in place.side | place.level)
    return codes, affirmed


def _exchanged(codes: Codes, affirmed: NDArray[np.bool_], draws: int, seed: int) -> Codes:
    """The places of each finding in random order among the studies that affirm it, ``[13 draws n]``.

    Side and level stay together.
    """
    generator = np.random.default_rng(seed)
    studies = [np.flatnonzero(row) for row in affirmed]
    drawn = np.zeros((len(codes), draws, codes.shape[1]), dtype=np.uint8)
    for draw in range(draws):
        for finding, rows in enumerate(studies):
            drawn[finding, draw, rows] = codes[finding, generator.permutation(rows)]
    return drawn


def _counts(reference: Codes, generated: Codes) -> Counts:
    """Counts of codes ``[13 .. n]``."""
    placed = reference > 0
    both = placed & (generated > 0)
    tables = (both, both & (reference == generated), *(_SIZES[each] for each in (reference & generated, generated)))
    sums = [table.sum(axis=0, dtype=np.uint8).T for table in (*tables, _SIZES[reference], placed)]
    return Counts(*sums)


def weighted_scores(statistics: LocationStatistics, weights: Floats) -> dict[str, Floats]:
    """All measures and, if the statistics have it, their chance under study weights.

    Args:
        statistics: from :func:`location_statistics`, n studies.
        weights: float64 ``[r n]``, >= 0; a row of ones gives the plain score, a row of bootstrap counts a resample.

    Returns:
        key -> ``[r]`` in [0, 1], for each of :data:`KEYS`, and with ``_chance`` at its end the mean over the exchanges.
        An agreement without anything to count is 0 here, an F1 is NaN; :func:`undefined` names them.
    """
    scores = _measures(statistics.found, weights)
    chance = {f"{key}{CHANCE}": values.mean(axis=1) for key, values in _measures(statistics.chance, weights).items()}
    return scores | chance


def _measures(counts: Mapping[str, Counts], weights: Floats) -> dict[str, Floats]:
    scores = {}
    for aspect, each in counts.items():
        pairs, same, true, predicted, support = (weights @ table.astype(np.float64) for table in each[:5])
        scores[f"location_{aspect}_agreement"] = quotient(same, pairs)
        # NaN without a placed reference, as where a resample drew none: no place can be right then
        scores[f"location_{aspect}_f1"] = np.where(support > 0, quotient(2 * true, predicted + support), np.nan)
    return scores


def undefined(statistics: LocationStatistics) -> set[str]:
    """The keys of the measures that have nothing to count (n = 0), with those of their chance."""
    keys = set()
    for aspect, each in statistics.found.items():
        if not each.pairs.any():
            keys.add(f"location_{aspect}_agreement")
        if not each.support.any():
            keys.add(f"location_{aspect}_f1")
    return keys | {f"{key}{CHANCE}" for key in keys}


def pair_counts(statistics: LocationStatistics) -> dict[str, dict[str, float | None]]:
    """What stands behind the measures of each aspect.

    Returns:
        aspect -> ``pairs``: findings placed by both texts (the n of the agreement); ``same``: those with the same set;
        ``placed``: findings placed by the reference; ``covered``: pairs divided by placed, None if nothing is placed.
    """
    table: dict[str, dict[str, float | None]] = {}
    for aspect, each in statistics.found.items():
        pairs, same, placed = (int(values.sum()) for values in (each.pairs, each.same, each.placed))
        table[aspect] = {"pairs": pairs, "same": same, "placed": placed, "covered": pairs / placed if placed else None}
    return table


def varies(reference: Sequence[Places], aspect: str) -> bool:
    """Whether the references place any finding in more than one way.

    If not, a report that always says the same is right, and no report can be better than chance.
    """
    sets: dict[str, set[frozenset[str]]] = {}
    for each in reference:
        for name, place in each.items():
            if elements := getattr(place, aspect):
                sets.setdefault(name, set()).add(elements)
    return any(len(found) > 1 for found in sets.values())


def above_chance(statistics: LocationStatistics, values: Mapping[str, Floats]) -> dict[str, dict[str, float]]:
    """Each measure minus its chance on the same resamples: ``key -> {value, low, high, error}``.

    Args:
        statistics: with the chance.
        values: key -> ``[1 + r]``, from :func:`ammrg.metrics.bootstrap.plain_and_resampled` of
            :func:`weighted_scores`, r > 0.

    Measures that are :func:`undefined` are left out.
    """
    without = undefined(statistics)
    return {
        key: bootstrap.difference(values[key], values[f"{key}{CHANCE}"])
        for key in KEYS
        if key in values and key not in without
    }


def location_scores(
    reference: Sequence[Places], generated: Sequence[Places], draws: int = DRAWS, seed: int = 0
) -> dict[str, float | None]:
    """Every measure and its chance; None where there is nothing to count. Arguments as in :func:`location_statistics`.

    Returns:
        ``location_{side,level}_{agreement,f1}`` and the same with ``_chance`` at the end, in [0, 1].
    """
    statistics = location_statistics(reference, generated, draws, seed)
    scores, without = weighted_scores(statistics, np.ones((1, len(reference)))), undefined(statistics)
    return {key: None if key in without else float(value[0]) for key, value in scores.items()}
