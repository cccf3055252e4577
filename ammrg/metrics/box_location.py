"""Location against boxes: do reports put findings where they are on the films?

:mod:`ammrg.metrics.location` compares a report with its reference, which may leave a place out. Where a data set has
boxes, the truth is on the film. Over triples (study, finding, left or right; or upper, mid, lower) these measures are
the micro F1 of the generated reports against the places of the boxes
(:func:`ammrg.text.box_places.finding_place_of_boxes`), in the study's frontal films:

- a finding that the reference affirms and that has a box: its true place is that of its boxes;
- a finding that the reference affirms without a box: left out, because its place is not known;
- a finding that the reference does not affirm: any place that the report gives it is wrong.

Chance is that of :mod:`ammrg.metrics.location`: the mean after random exchanges of the generated places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ammrg.errors import ScoringError
from ammrg.metrics import bootstrap, location
from ammrg.metrics.location import ASPECTS, CHANCE, Floats, LocationStatistics, Places
from ammrg.text.box_places import finding_place_of_boxes
from ammrg.types import Corners, FilmBox

KEYS: dict[str, str] = {f"location_{aspect}_f1": f"box_{aspect}_f1" for aspect in ASPECTS}
"""Measure of :mod:`ammrg.metrics.location` -> its name against boxes."""
NOTHING = LocationStatistics({}, {})
"""The statistics of studies without boxes, which give no measure."""


class BoxTruth(NamedTuple):
    """Where the findings of a study are, by its boxes."""

    places: Places
    """The place of each finding that the reference affirms and that has a box on a frontal film."""
    unknown: frozenset[str]
    """Findings that the reference affirms without such a box."""


def box_truth(reference: Places, boxes: Sequence[FilmBox]) -> BoxTruth:
    """The truth of one study.

    Args:
        reference: the findings that the reference affirms, see :func:`ammrg.text.places.finding_places`.
        boxes: of the study; those on other films than frontal ones do not count.
    """
    found: dict[str, list[Corners]] = {}
    for each in boxes:
        if each.projection == "frontal" and each.finding in reference:
            found.setdefault(each.finding, []).append(each.box)
    places = {name: finding_place_of_boxes(name, corners) for name, corners in found.items()}
    return BoxTruth(places, frozenset(reference.keys() - places.keys()))


def box_statistics(
    truths: Sequence[BoxTruth], generated: Sequence[Places], draws: int = location.DRAWS, seed: int = 0
) -> LocationStatistics:
    """Per-study counts against the boxes; :data:`NOTHING` if no study has a finding with a box.

    Args:
        truths: of n studies.
        generated: the places of their n generated reports.
        draws: number of random exchanges; 0: no chance.
        seed: of the exchanges.

    Raises:
        ScoringError: if the lengths differ.
    """
    if len(truths) != len(generated):
        raise ScoringError(f"boxes: {len(truths)} studies, but {len(generated)} generated reports.")
    if not any(truth.places for truth in truths):
        return NOTHING
    judged = [
        {name: place for name, place in report.items() if name not in truth.unknown}
        for truth, report in zip(truths, generated, strict=True)
    ]
    return location.location_statistics([truth.places for truth in truths], judged, draws, seed)


def weighted_scores(statistics: LocationStatistics, weights: Floats) -> dict[str, Floats]:
    """The measures against boxes under study weights, and their chance, as in :mod:`ammrg.metrics.location`.

    Args:
        statistics: from :func:`box_statistics`, n studies.
        weights: float64 ``[r n]``, >= 0.

    Returns:
        ``box_{side,level}_f1``, and with ``_chance`` at its end the mean over the exchanges: ``[r]`` in [0, 1]. Empty
        for :data:`NOTHING`.
    """
    found = location.weighted_scores(statistics, weights)
    names = {f"{key}{end}": f"{name}{end}" for key, name in KEYS.items() for end in ("", CHANCE)}
    return {name: found[key] for key, name in names.items() if key in found}


def above_chance(statistics: LocationStatistics, values: Mapping[str, Floats]) -> dict[str, dict[str, float]]:
    """Each measure minus its chance on the same resamples, as in :func:`ammrg.metrics.location.above_chance`.

    Args:
        statistics: with the chance.
        values: key -> ``[1 + r]`` of :func:`weighted_scores`, r > 0.
    """
    without = undefined(statistics)
    return {
        key: bootstrap.difference(values[key], values[f"{key}{CHANCE}"])
        for key in KEYS.values()
        if key in values and key not in without
    }


def undefined(statistics: LocationStatistics) -> set[str]:
    """The keys of the measures without anything to count, with those of their chance."""
    without = location.undefined(statistics)
    return {f"{name}{end}" for key, name in KEYS.items() if key in without for end in ("", CHANCE)}
