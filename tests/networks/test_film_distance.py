"""The distance of films from training: its two views, its limits, and what it says of odd films."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import Tensor

from ammrg.errors import CheckpointError
from ammrg.networks.film_distance import FilmDistance, FilmFeatures, TooFewFilms, film_features, fit_distance

GRID = (3, 3)


def films(count: int, seed: int) -> Tensor:
    """Bright above and dark below, with a spot somewhere; uint8 ``[count 1 48 48]``."""
    draw = np.random.default_rng(seed)
    drawn = np.linspace(200, 60, 48)[None, :, None] * np.ones((count, 48, 48)) + draw.normal(0, 8, (count, 48, 48))
    for film in drawn:
        row, column = draw.integers(0, 40, 2)
        film[row : row + 8, column : column + 8] += draw.uniform(10, 40)
    return torch.from_numpy(drawn.clip(0, 255).astype(np.uint8))[:, None]


def tokens(shown: Tensor) -> Tensor:
    """A stand-in for an encoder: of 3 x 3 places the mean grey, the contrast, and edges across and down."""
    cells = shown.float().unfold(2, 16, 16).unfold(3, 16, 16)[:, 0] / 255
    across, down = cells.diff(dim=-1).abs().mean((-1, -2)), cells.diff(dim=-2).abs().mean((-1, -2))
    return torch.stack([cells.mean((-1, -2)), cells.std((-1, -2)), across, down], dim=-1).flatten(1, 2)


def features(shown: Tensor) -> FilmFeatures:
    return film_features(shown, tokens(shown), GRID)


def fitted() -> FilmDistance:
    found = fit_distance(features(films(200, 1)), features(films(100, 2)))
    assert found is not None
    return found


def test_one_in_a_hundred_validation_films_lies_beyond_one() -> None:
    found, own = fitted(), films(100, 2)
    assert (found(own, tokens(own), GRID) > 1).sum() == 1
    others = films(500, 4)
    assert (found(others, tokens(others), GRID) > 1).float().mean() < 0.06


def test_it_is_the_greater_of_two_views() -> None:
    found, asked = fitted(), features(films(20, 5))
    expected = [view.distance(seen) / limit for view, seen, limit in zip(found.views, asked, found.limits, strict=True)]
    torch.testing.assert_close(found.of(asked), torch.maximum(*expected) / found.limit)


@pytest.mark.parametrize("change", [lambda film: 255 - film, lambda film: film.rot90(1, (2, 3))], ids=["dark", "side"])
def test_an_inverted_film_and_one_on_its_side_are_far_whatever_the_tokens_see(change: object) -> None:
    blind = torch.ones(200, 9, 4) + torch.randn(200, 9, 4, generator=torch.Generator().manual_seed(0))
    shown = films(200, 1)
    training = film_features(shown, blind, GRID)
    found = fit_distance(training, training)
    assert found is not None
    assert callable(change)
    assert (found(change(shown), blind, GRID) > 1).float().mean() > 0.95
    assert (found(shown, blind, GRID) > 1).float().mean() <= 0.01


def test_a_film_that_excites_no_token_is_far() -> None:
    found, shown = fitted(), films(5, 6)
    assert (found(shown, torch.zeros(5, 9, 4), GRID) > 1).all()


def test_features_are_means_by_place_of_length_one() -> None:
    drawn = torch.randn(2, 36, 4, dtype=torch.float64)
    blank = torch.zeros(2, 1, 6, 6, dtype=torch.uint8)
    laid = torch.log(drawn / 0.01 + torch.sqrt((drawn / 0.01) ** 2 + 1)).reshape(2, 6, 6, 4)
    means = torch.stack([laid[:, r : r + 2, c : c + 2].mean((1, 2)) for r in (0, 2, 4) for c in (0, 2, 4)], dim=2)
    expected = means / means.square().sum(1, keepdim=True).sqrt()
    found = film_features(blank, drawn, (6, 6))
    torch.testing.assert_close(found.tokens, expected.flatten(1).float())
    assert film_features(blank, drawn[:, :8], (2, 4)).tokens.shape == (2, 4 * 2 * 3)
    turned = drawn.reshape(2, 6, 6, 4).rot90(1, (1, 2)).reshape(2, 36, 4)
    assert (film_features(blank, turned, (6, 6)).tokens - found.tokens).abs().max() > 0.1


def test_thumbnails_do_not_depend_on_brightness_and_contrast() -> None:
    shown = films(4, 7)
    dim = (shown.float() * 0.5 + 40).to(torch.uint8)
    one, other = features(shown).thumbnail, features(dim).thumbnail
    assert one.shape == (4, 64)
    torch.testing.assert_close(one.mean(1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(one.std(1), torch.ones(4))
    torch.testing.assert_close(one, other, atol=0.03, rtol=0)
    assert not features(torch.full_like(shown, 90)).thumbnail.any()


def test_few_films_are_counted_and_nothing_is_said_of_broken_features() -> None:
    many, few = features(films(20, 1)), features(films(15, 2))
    assert fit_distance(few, many) == TooFewFilms(15, 20)
    found = fit_distance(many, few)
    assert isinstance(found, TooFewFilms)
    assert found == FilmDistance.from_state(found.state(), "here") == TooFewFilms(20, 15)
    broken = tokens(films(20, 1))
    broken[3, 3] = torch.nan
    assert fit_distance(film_features(films(20, 1), broken, GRID), many) is None


def test_it_travels_as_tensors_and_numbers() -> None:
    found = fitted()
    file = io.BytesIO()
    torch.save(found.state(), file)
    file.seek(0)
    again = FilmDistance.from_state(torch.load(file, weights_only=True), "here")
    assert isinstance(again, FilmDistance)
    asked = features(films(5, 3))
    assert torch.equal(again.of(asked), found.of(asked))
    assert (again.training_films, again.validation_films) == (200, 100)
    with pytest.raises(CheckpointError, match=r"here: film_distance holds limit, expected limit, thumbnail\.dir"):
        FilmDistance.from_state({"limit": 1.0}, "here")


def test_the_distance_of_an_earlier_release_is_not_known() -> None:
    assert FilmDistance.from_state({"mean": torch.zeros(3), "limit": 1.0}, "here") is None
