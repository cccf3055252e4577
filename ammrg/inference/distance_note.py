"""What a user is told of how far films lie from those of the training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ammrg.networks.disease_classifier import DiseaseClassifier
    from ammrg.networks.film_distance import FilmDistance
    from ammrg.types import StudyBatch

UNKNOWN = (
    "How far this film lies from the training films is not known: the model was trained by an earlier version, or on "
    "few films; train stage 1 again to have it measured."
)


class DistanceNote(NamedTuple):
    """Of the films of a study."""

    distances: list[float] | None
    """One a film; 99 of 100 validation films lie below 1. None = not known."""
    sentence: str
    """What it means."""
    warns: bool
    """Whether a film lies beyond 1."""

    def as_json(self) -> dict[str, object]:
        """For report.json."""
        return {"distances": self.distances, "unlike_training": self.warns if self.distances else None}


def distance_note(
    distance: FilmDistance | None, classifier: DiseaseClassifier, batch: StudyBatch, names: Sequence[str]
) -> DistanceNote:
    """Measure the films of a batch of one study.

    Args:
        distance: from the training films; None where the model does not know it.
        classifier: whose encoder reads the films.
        batch: of the films.
        names: theirs, for the sentence.
    """
    import torch

    if distance is None:
        return DistanceNote(None, UNKNOWN, False)
    with torch.inference_mode():
        distances = distance(*classifier.encoder(batch.images)).tolist()
    far = [f"{name} ({value:.1f})" for name, value in zip(names, distances, strict=True) if value > 1]
    told = f"of {distance.validation_films} validation films 99 in 100 lie below 1"
    if far:
        return DistanceNote(
            distances,
            f"WARNING: unlike the films this model was trained on: {', '.join(far)}; {told}. Findings and report may "
            "mean nothing here.",
            True,
        )
    listed = ", ".join(f"{value:.2f}" for value in distances)
    return DistanceNote(distances, f"Distance from the training films: {listed} ({told}).", False)
