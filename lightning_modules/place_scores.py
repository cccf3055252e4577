"""The places of findings in stage 1's training: the loss of a batch, and the thresholds and scores of a validation."""

from __future__ import annotations

import torch
from torch import Tensor

from ammrg.findings import FINDINGS
from ammrg.gathering import gather_once
from ammrg.metrics.location import location_scores
from ammrg.networks.disease_classifier import Classification, DiseaseClassifier
from ammrg.networks.places import (
    PlaceTargets,
    choose_place_thresholds,
    is_frontal,
    place_loss,
    place_targets,
    places_of,
    study_places,
)
from ammrg.types import StudyBatch


def frontal_targets(batch: StudyBatch) -> tuple[Tensor, PlaceTargets]:
    """The frontal films of a batch (rows, int64 ``[m]``), and what their studies' reports say about places."""
    films = is_frontal(batch.projections).nonzero().flatten()
    owners = batch.study_of_view.cpu()[films]
    targets = place_targets(batch.reports)
    return films, PlaceTargets(targets.elements[owners], targets.affirmed[owners])


def placed_films_loss(places: Tensor, batch: StudyBatch) -> Tensor:
    """The place loss of the frontal films of a batch, summed over their affirmed findings: a scalar.

    Args:
        places: logits ``[v 14 5]`` of the places of findings on the batch's films.
        batch: b studies with v films.
    """
    films, targets = frontal_targets(batch)
    device = places.device
    moved = PlaceTargets(targets.elements.to(device), targets.affirmed.to(device))
    return place_loss(places[films.to(device)], moved)


class PlaceScores:
    """Collects the places of validation studies; chooses the thresholds of words of place, and scores them."""

    def __init__(self) -> None:
        self.found: list[tuple[str, tuple[Tensor, Tensor, Tensor]]] = []
        """Study id -> probabilities ``[14 5]``, elements ``[14 5]`` and affirmed ``[14]`` of its report."""

    def add(self, seen: Classification, batch: StudyBatch) -> None:
        """Collect a batch; does nothing for a network without places."""
        if seen.places is None:
            return
        places = study_places(seen.places, seen.logits, batch.study_of_view, batch.projections, len(batch.study_ids))
        rows = zip(places.float().cpu(), *place_targets(batch.reports), strict=True)
        self.found += zip(batch.study_ids, rows, strict=True)

    def choose(self, classifier: DiseaseClassifier) -> dict[str, float]:
        """Set the thresholds by the studies of all processes, each once, and start anew.

        Returns:
            ``val/place_side_f1`` and ``val/place_level_f1``: micro F1 of the named places of affirmed findings; a
            score is absent where no report names a place.
        """
        found = list(gather_once(self.found).values())
        self.found = []
        if classifier.place_head is None or not found:
            return {}
        probabilities, elements, affirmed = (torch.stack(column) for column in zip(*found, strict=True))
        targets = PlaceTargets(elements, affirmed)
        head = classifier.place_head
        head.thresholds.copy_(choose_place_thresholds(probabilities, targets))
        named = head.named(probabilities.to(head.thresholds.device))
        ours, theirs = (
            [
                {name: place for name, place, is_affirmed in zip(FINDINGS, row, known, strict=True) if is_affirmed}
                for row, known in zip(places_of(table), affirmed.tolist(), strict=True)
            ]
            for table in (named, elements.bool())
        )
        scores = location_scores(theirs, ours, draws=0)
        wanted = {f"val/place_{aspect}_f1": scores[f"location_{aspect}_f1"] for aspect in ("side", "level")}
        return {name: value for name, value in wanted.items() if value is not None}
