"""The description of one study: its report, 14 findings with maps, and the patterns retrieved for it."""

from __future__ import annotations

from typing import Any, NamedTuple

from ammrg.imaging.panel import CasePage
from ammrg.inference.distance_note import DistanceNote
from ammrg.notice import NOTICE
from ammrg.types import Attribution


class Description(NamedTuple):
    """The report of one study and its reasons."""

    films: list[str]
    """The films' paths."""
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
    dataset: str
    """Name of the data set the model was trained on."""
    trained_on: str
    """The same as a sentence, for the reader of the report."""
    distance: DistanceNote
    """How unlike the training films these films are."""
    warnings: list[str]
    """Where the report contradicts the findings, one sentence each."""
    page: CasePage
    """Content of the panel: the film shown and its maps."""
    notice: str = NOTICE

    def as_json(self) -> dict[str, Any]:
        """Return the content of report.json: everything except the pictures."""
        return {
            "films": self.films,
            "report": self.report,
            "findings": self.findings,
            "thresholds": self.thresholds,
            "places": {finding: list(words) for finding, words in self.places.items()},
            "regions": [pattern._asdict() for pattern in self.regions],
            "reports": [pattern._asdict() for pattern in self.reports],
            "trained_on": {"dataset": self.dataset, "sentence": self.trained_on},
            "distance_from_training": {**self.distance.as_json(), "sentence": self.distance.sentence},
            "warnings": self.warnings,
            "notice": self.notice,
        }
