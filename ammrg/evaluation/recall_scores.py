"""The measures of recall of a run and of its baselines, as scores.json has them under ``recall``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ammrg.evaluation.recalled import RecallFile, StudyRecall
from ammrg.metrics.box_location import BoxTruth
from ammrg.metrics.location import Floats, Places
from ammrg.metrics.recall import (
    Query,
    RecallStatistics,
    recall_difference,
    recall_scores,
    recall_statistics,
    region_is_right,
    report_is_right,
)
from ammrg.text.places import Place

PlacesOf = Callable[[Sequence[str]], Sequence[Places]]
"""Texts -> the places of the findings that each affirms."""


class StudyTruth(NamedTuple):
    """What is known about a study."""

    reference: Places
    """Of its reference report."""
    boxes: BoxTruth
    """Of its films."""

    def place(self, finding: str) -> Place | None:
        """The place of a finding that the reference affirms, completed by its boxes; None if not affirmed."""
        if finding not in self.reference:
            return None
        return self.reference[finding].completed(self.boxes.places.get(finding, Place()))


def recall_section(
    files: Sequence[RecallFile], truths: Sequence[StudyTruth], places_of: PlacesOf, weights: Floats
) -> dict[str, Any] | None:
    """The measures of :mod:`ammrg.metrics.recall` for regions and reports.

    Args:
        files: from :func:`ammrg.evaluation.recalled.read_recalled`, the network's own first.
        truths: of the n studies.
        places_of: reads the places in the recalled reports.
        weights: ``[r n]`` of :func:`ammrg.metrics.bootstrap.patient_weights`; r may be 0.

    Returns:
        None without files. Else ``regions`` and ``reports``, each None if the network recalls none, else ``{queries,
        distinct, most_first, judged, distinct_first, top_share, precision_at_1, precision_at_5, baselines}``: the
        number of pairs (studies), of different patterns recalled first, and of times that the commonest of them is;
        the number of judged pairs (studies); measures with {value, low, high}; and name -> the same of each baseline,
        with ``difference``: measure -> {value, low, high} of the network's own minus the baseline's, empty without
        resamples. ``regions`` also has the pairs that are not judged: ``not_affirmed`` by the reference, or of
        ``no_place``.
    """
    if not files:
        return None
    own, *others = files
    section: dict[str, Any] = {"regions": None, "reports": None}
    if any(regions for study in own.studies for regions in study.regions.values()):
        pairs = [(study, finding) for study, each in enumerate(own.studies) for finding in each.regions]
        section["regions"] = _compared(
            [(file.name, _of_regions(file.studies, pairs, truths)) for file in (own, *others)], weights
        ) | {
            "not_affirmed": sum(truths[study].place(finding) is None for study, finding in pairs),
            "no_place": sum(truths[study].place(finding) == Place() for study, finding in pairs),
        }
    if any(study.reports for study in own.studies):
        section["reports"] = _compared(
            [(file.name, _of_reports(file.studies, truths, places_of)) for file in (own, *others)], weights
        )
    return section


def _of_regions(
    studies: Sequence[StudyRecall], pairs: Sequence[tuple[int, str]], truths: Sequence[StudyTruth]
) -> RecallStatistics:
    def queries() -> Iterator[Query]:
        for study, finding in pairs:
            regions, place = studies[study].regions.get(finding, ()), truths[study].place(finding)
            judged = place is not None and place != Place()
            right = tuple(region_is_right(finding, place or Place(), each.finding, each.place) for each in regions)
            yield Query(study, tuple(each.pattern for each in regions), right if judged else None)

    return recall_statistics(list(queries()), len(studies))


def _of_reports(studies: Sequence[StudyRecall], truths: Sequence[StudyTruth], places_of: PlacesOf) -> RecallStatistics:
    queries = []
    for row, (study, truth) in enumerate(zip(studies, truths, strict=True)):
        found = places_of([each.text for each in study.reports])
        right = tuple(report_is_right(truth.reference, places) for places in found)
        queries.append(Query(row, tuple(each.pattern for each in study.reports), right))
    return recall_statistics(queries, len(studies))


def _compared(named: Sequence[tuple[str, RecallStatistics]], weights: Floats) -> dict[str, Any]:
    (_, own), *others = named
    baselines = {
        name: _figures(each, weights) | {"difference": recall_difference(own, each, weights) if len(weights) else {}}
        for name, each in others
    }
    return {**_figures(own, weights), "baselines": baselines}


def _figures(statistics: RecallStatistics, weights: Floats) -> dict[str, Any]:
    first = np.diff(statistics.starts, append=len(statistics.first))
    return {
        "queries": len(statistics.first),
        "distinct": len(first),
        "most_first": int(first.max(initial=0)),
        "judged": int(statistics.judged.sum()),
        **recall_scores(statistics, weights),
    }
