"""The description of one study: its report, 14 findings with maps, and the patterns retrieved for it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ammrg.imaging.panel import CasePage
from ammrg.inference.distance_note import DistanceNote
from ammrg.inference.finding_maps import FindingMap
from ammrg.inference.memory_note import MemoryNote
from ammrg.notice import NOTICE
from ammrg.operating_points import BALANCED
from ammrg.studies.records import SetAside, StudyIdentity, StudyView
from ammrg.types import Attribution

MIRRORED = (
    "WARNING: the films were flipped left to right on purpose, to see whether the report follows them: its sides are "
    "those of the flipped films, not of the patient."
)
"""The warning of a description of mirrored films."""
WORTHLESS = (
    "WARNING: on the studies on which this model was scored, its reports were not clearly better than one constant "
    "report."
)
"""The warning of a description by a model whose reports say nothing of their studies."""
NOT_COMPARED = (
    "Whether its reports are better than one constant report is not known: it was not scored, or by an earlier version."
)
"""What a description says beside the training data where the model does not tell."""


class Description(NamedTuple):
    """The report of one study and its reasons."""

    study: StudyIdentity
    views: tuple[StudyView, ...]
    """Its films, in the order of the network's batch; those that the network does not read are among them."""
    set_aside: tuple[SetAside, ...]
    """Films and files of the study that are not described."""
    report: str
    findings: dict[str, float]
    """Probability of each of the 14 findings."""
    thresholds: dict[str, float]
    """Finding -> the probability above which it counts as present."""
    places: dict[str, tuple[str, ...]]
    """Present abnormal finding -> its sides and levels, as far as they are known."""
    regions: list[Attribution]
    """Retrieved regions of training films, strongest first."""
    reports: list[Attribution]
    """Retrieved training reports, strongest first."""
    recalled: dict[str, list[Attribution]]
    """What the query of each present finding retrieved from the regions, strongest first."""
    memory: MemoryNote
    """Which of these are reasons for the report."""
    dataset: str
    """Name of the data set the model was trained on."""
    trained_on: str
    """The same as a sentence, for the reader of the report; a second one where nothing tells what its reports are
    worth."""
    distance: DistanceNote
    """How unlike the training films these films are."""
    warnings: list[str]
    """Where no film is frontal, films are unlike the training's, the model or a film may mislead, and where the report
    or the findings contradict each other or themselves, one sentence each."""
    page: CasePage
    """Content of the panel: films and maps."""
    model: str = ""
    """Fingerprint of the model that wrote the report, with its operating point; empty = not known."""
    inputs: str = ""
    """Fingerprint of what it read: the films' bytes, their projections and the indication."""
    operating_point: float = BALANCED
    """How readily findings were called, see :mod:`ammrg.operating_points`; ``thresholds`` are those of this setting."""
    operating_note: str = ""
    """What the setting gave on the validation split, for the reader of the report; empty where it is balanced."""
    notice: str = NOTICE
    maps: Mapping[str, FindingMap] = MappingProxyType({})
    """Finding -> its map on the film that decides it, for all 14."""
    memories: bool = True
    """Whether it was written with what is recalled from the memories."""
    mirrored: bool = False
    """Whether its films were flipped left to right."""

    @property
    def background(self) -> list[str]:
        """What the model was trained on and how far the films are from that, unless a warning says it already."""
        return [said for said in (self.trained_on, self.distance.sentence) if said not in self.warnings]

    @property
    def films(self) -> list[str]:
        """The paths of all films."""
        return [view.path for view in self.views]

    def as_json(self) -> dict[str, Any]:
        """Return the content of report.json: everything except the pictures."""
        return {
            "study": self.study._asdict(),
            "films": self.films,
            "views": [view.as_json() for view in self.views],
            "set_aside": [each._asdict() for each in self.set_aside],
            "report": self.report,
            "findings": self.findings,
            "thresholds": self.thresholds,
            "operating_point": {"setting": self.operating_point, "sentence": self.operating_note},
            "places": {finding: list(words) for finding, words in self.places.items()},
            "regions": [pattern._asdict() for pattern in self.regions],
            "reports": [pattern._asdict() for pattern in self.reports],
            "recalled": {finding: [each._asdict() for each in listed] for finding, listed in self.recalled.items()},
            "reasons": self.memory.as_json(),
            "made_from": {"model": self.model, "inputs": self.inputs},
            "memories": "on" if self.memories else "off",
            "films_mirrored": self.mirrored,
            "trained_on": {"dataset": self.dataset, "sentence": self.trained_on},
            "distance_from_training": {**self.distance.as_json(), "sentence": self.distance.sentence},
            "warnings": self.warnings,
            "notice": self.notice,
        }
