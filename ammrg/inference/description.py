"""What a model says of one study: its report, 14 findings with maps, and the memories it was written with."""

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
    regions: list[Attribution]
    """Retrieved regions of training films, strongest first."""
    reports: list[Attribution]
    """Retrieved training reports, strongest first."""
    dataset: str
    """Name of the data set the model was trained on."""
    trained_on: str
    """The same as a sentence, for whoever reads the report."""
    distance: DistanceNote
    """How far the films lie from those of the training."""
    page: CasePage
    """The film that is shown and its maps: what the panel is drawn from."""
    notice: str = NOTICE

    def as_json(self) -> dict[str, Any]:
        """The content of report.json: all but the pictures."""
        return {
            "films": self.films,
            "report": self.report,
            "findings": self.findings,
            "thresholds": self.thresholds,
            "regions": [pattern._asdict() for pattern in self.regions],
            "reports": [pattern._asdict() for pattern in self.reports],
            "trained_on": {"dataset": self.dataset, "sentence": self.trained_on},
            "distance_from_training": {**self.distance.as_json(), "sentence": self.distance.sentence},
            "notice": self.notice,
        }
