"""What a user reads of how far films lie from training, and which data set a model was trained on."""

from __future__ import annotations

from typing import Any

import torch

from ammrg.data_sets import trained_on
from ammrg.inference.distance_note import distance_note
from ammrg.networks.film_distance import LEAST, TooFewFilms


def measure(*distances: float) -> Any:
    class Measured:
        validation_films = 120

        def __call__(self, films: torch.Tensor, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
            assert grid == (1, 1)
            return torch.tensor(distances)

    return Measured()


SEEN = torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(2, 1, 4), (1, 1)


def test_a_film_beyond_one_is_warned_of_by_number():
    note = distance_note(measure(0.5, 3.21), *SEEN, [2, 3])
    assert note.warns
    assert note.sentence.startswith(
        "WARNING: unlike the films this model was trained on: film 3 (3.2); 99 in 100 of the 120 validation films "
    )
    alone = distance_note(measure(3.21), SEEN[0][:1], *SEEN[1:], [0])
    assert alone.sentence.startswith("WARNING: unlike the films this model was trained on: this film (3.2); 99 in")
    assert note.as_json() == {"distances": [0.5, 3.21], "unlike_training": True}


def test_films_within_are_told_their_distances():
    note = distance_note(measure(0.5, 0.75), *SEEN, [1, 2])
    assert not note.warns
    assert note.sentence == (
        "Distance from the training films: 0.50, 0.75 (99 in 100 of the 120 validation films are below 1)."
    )
    assert note.as_json()["unlike_training"] is False


def test_what_is_not_known_is_said():
    note = distance_note(None, *SEEN, [1, 2])
    assert not note.warns
    assert note.sentence.startswith("The distances of these films from the training films are not known: the model was")
    assert f"trained or validated on fewer than {LEAST} studies, or by an earlier version" in note.sentence
    assert note.as_json() == {"distances": None, "unlike_training": None}


def test_too_few_films_are_the_reason_where_the_model_knows_it():
    note = distance_note(TooFewFilms(40, 5), SEEN[0][:1], *SEEN[1:], [0])
    assert note.sentence == (
        "The distance of this film from the training films is not known: stage 1 needs films of 16 training and 16 "
        "validation studies to fit the measure, and had films of 40 and 5; a new stage 1 with enough studies "
        "measures it."
    )
    assert note.as_json() == {"distances": None, "unlike_training": None}


def test_drawn_films_are_said_to_be_drawn():
    assert "drawn films" in trained_on("phantom")
    assert trained_on("iu_xray").startswith("trained on IU X-Ray")
    assert trained_on("mine") == "trained on mine"
    assert trained_on("") == "trained on data that are not named"
