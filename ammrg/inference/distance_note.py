"""The note that tells a user how unlike the training films their films are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ammrg.inference.film_name import film_name
from ammrg.networks.film_distance import LEAST, TooFewFilms

if TYPE_CHECKING:
    from torch import Tensor

    from ammrg.networks.film_distance import FilmDistance


class DistanceNote(NamedTuple):
    """The distances of a study's films from the training films, and what they mean."""

    distances: list[float] | None
    """One for each film; 99 in 100 validation films are below 1. None = not known."""
    sentence: str
    """The meaning in words."""
    warns: bool
    """Whether the distance of a film is above 1."""

    def as_json(self) -> dict[str, object]:
        """Return the part that report.json holds."""
        return {"distances": self.distances, "unlike_training": self.warns if self.distances else None}


def distance_note(
    distance: FilmDistance | TooFewFilms | None,
    films: Tensor,
    tokens: Tensor,
    grid: tuple[int, int],
    numbers: Sequence[int],
) -> DistanceNote:
    """Measure the films of one study.

    Args:
        distance: measures the distance from the training films, or says why it could not be fitted; None where the
            model says neither.
        films: uint8 ``[v 1 h w]``.
        tokens: ``[v n e]`` of these films, from the model's encoder.
        grid: ``(gh, gw)`` with gh * gw = n.
        numbers: of these films in the study, see :func:`ammrg.inference.film_name.film_numbers`.
    """
    if distance is None or isinstance(distance, TooFewFilms):
        return DistanceNote(None, _not_known(distance, len(films)), False)
    # Four decimals: the last digits depend on where in memory the weights happen to lie.
    distances = [round(value, 4) for value in distance(films, tokens, grid).tolist()]
    far = [f"{film_name(number)} ({value:.1f})" for number, value in zip(numbers, distances, strict=True) if value > 1]
    scale = f"99 in 100 of the {distance.validation_films} validation films are below 1"
    if far:
        return DistanceNote(
            distances,
            f"WARNING: unlike the films this model was trained on: {', '.join(far)}; {scale}. Findings and report may "
            "be meaningless here.",
            True,
        )
    listed = ", ".join(f"{value:.2f}" for value in distances)
    return DistanceNote(distances, f"Distance from the training films: {listed} ({scale}).", False)


def _not_known(why: TooFewFilms | None, films: int) -> str:
    these = "The distance of this film" if films == 1 else "The distances of these films"
    if why is None:
        reason = f"the model was trained or validated on fewer than {LEAST} studies, or by an earlier version"
    else:
        reason = (
            f"stage 1 needs films of {LEAST} training and {LEAST} validation studies to fit the measure, and had films "
            f"of {why.training_films} and {why.validation_films}"
        )
    known = "is" if films == 1 else "are"
    return (
        f"{these} from the training films {known} not known: {reason}; a new stage 1 with enough studies measures it."
    )
