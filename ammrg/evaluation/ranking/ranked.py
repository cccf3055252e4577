"""Systems on the same studies, ranked by each of the main metrics: over all studies, and within groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ScoringError
from ammrg.evaluation.predictions import Line, System
from ammrg.evaluation.scorer import Scorer, weighted_scores
from ammrg.metrics import bootstrap
from ammrg.metrics.comparison import taken
from ammrg.metrics.ranks import Standing, standings

Floats = NDArray[np.float64]

METRICS = {
    "clinical_micro_f1_13_neg": "clinical micro F1 (13)",
    "location_side_f1": "side F1",
    "location_level_f1": "level F1",
    "cider": "CIDEr",
    "bleu_4": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "meteor": "METEOR",
}
"""The metrics of the table; the first sorts the systems, unless another is chosen. A higher value is better in all."""
FEWEST_STUDIES = 10
"""A smaller group is listed without scores, and of fewer studies in all no best is marked."""


class Group(NamedTuple):
    """The studies that have one value in a column; all studies if the column is empty."""

    column: str
    value: str
    studies: int
    patients: int | None
    """None where no file names patients."""
    standings: dict[str, dict[str, Standing]]
    """System -> metric -> where it stands; a metric that is undefined for any system is left out. Empty if the group is
    too small."""
    sort: str = ""
    """The metric that orders the systems; of all studies only, as groups keep that order."""

    @property
    def enough(self) -> bool:
        """Whether there are enough studies and patients to call a system the best."""
        return self.studies >= FEWEST_STUDIES and (self.patients is None or self.patients >= bootstrap.FEWEST_PATIENTS)


def rank_all(systems: Sequence[System], scorer: Scorer, sort: str | None = None) -> Group:
    """Where systems stand on all their studies.

    Args:
        systems: on the same studies.
        scorer: has scored them.
        sort: key of :data:`METRICS` whose best system is first; None: the first that has ranks.

    Raises:
        ScoringError: ``sort`` has no ranks.
    """
    protocol = scorer.protocols[0].name
    values = {each.name: scorer.values(each.lines, protocol) for each in systems}
    without = set[str]().union(*(scorer.statistics(each.lines).undefined() for each in systems))
    lines = systems[0].lines
    found = _ranked(values, without)
    ranked = list(next(iter(found.values())))
    sort = sort or ranked[0]
    if sort not in ranked:
        raise ScoringError(
            f"--sort {sort}: has no ranks here, as it is undefined or left out; {', '.join(ranked)} have."
        )
    order = sorted(found, key=lambda name: -found[name][sort].value)
    return Group("", "", len(lines), count_patients(lines), {name: found[name] for name in order}, sort)


def count_patients(lines: Sequence[Line]) -> int | None:
    """Number of patients of these studies; None if they have no other ids than the studies."""
    patients = {line.subject_id for line in lines}
    return None if patients == {line.study_id for line in lines} else len(patients)


def rank_groups(systems: Sequence[System], scorer: Scorer, cells: Mapping[str, Mapping[str, str]]) -> list[Group]:
    """Where systems stand within each group of studies.

    Corpus scores are those of the group's studies; CIDEr keeps the idf of all references, so that groups can be
    compared. Patients are resampled within the group.

    Args:
        systems: on the same studies, in the order of the tables.
        scorer: has scored them.
        cells: column -> study id -> value.
    """
    lines = systems[0].lines
    named = count_patients(lines) is not None
    found = []
    for column, of_study in cells.items():
        for value in sorted({of_study[line.study_id] for line in lines}):
            rows = np.array([i for i, line in enumerate(lines) if of_study[line.study_id] == value])
            patients = [lines[i].subject_id for i in rows]
            scores = _within(systems, scorer, rows, patients) if len(rows) >= FEWEST_STUDIES else {}
            found.append(Group(column, value, len(rows), len(set(patients)) if named else None, scores))
    return found


def _within(
    systems: Sequence[System], scorer: Scorer, rows: NDArray[np.intp], patients: Sequence[str]
) -> dict[str, dict[str, Standing]]:
    weights = bootstrap.patient_weights(patients, bootstrap.drawable(len(set(patients)), scorer.resamples), scorer.seed)
    values: dict[str, Mapping[str, Floats]] = {}
    without: set[str] = set()
    for system in systems:
        whole = scorer.statistics(system.lines).without_chance().under(scorer.protocols[0].name)
        part = taken(whole, rows)
        without |= part.undefined()
        values[system.name] = bootstrap.plain_and_resampled(partial(weighted_scores, part), weights)
    return _ranked(values, without)


def _ranked(values: Mapping[str, Mapping[str, Floats]], without: set[str]) -> dict[str, dict[str, Standing]]:
    names = list(values)
    shown = [key for key in METRICS if key not in without and all(key in each for each in values.values())]
    places = {key: standings(np.stack([values[name][key] for name in names])) for key in shown}
    return {name: {key: places[key][i] for key in shown} for i, name in enumerate(names)}
