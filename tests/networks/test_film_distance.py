"""The distance of films from training against its formula in full, and what it says of odd ones."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from ammrg.errors import CheckpointError
from ammrg.networks.film_distance import SHARE, FilmDistance, film_features, fit_distance


def films(count: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    """Features whose covariance has three strong directions."""
    draw = torch.Generator().manual_seed(seed)
    mixing = torch.randn(3, 12, generator=torch.Generator().manual_seed(99)) * torch.tensor([[3.0], [2.0], [1.0]])
    strong = torch.randn(count, 3, generator=draw) @ mixing
    return 5 + shift + strong + 0.3 * torch.randn(count, 12, generator=draw)


def tokens(features: torch.Tensor) -> torch.Tensor:
    """One token a film that has these features."""
    return (features.double().sinh() * 0.01).float().unsqueeze(1)


def fitted() -> FilmDistance:
    found = fit_distance(films(200, 1), films(100, 2))
    assert found is not None
    return found


def test_it_is_the_mahalanobis_distance_of_probabilistic_pca():
    training, validation = films(200, 1).double().numpy(), films(100, 2).double().numpy()
    mean, spread = training.mean(0), training.std(0, ddof=1)
    spread = np.maximum(spread, spread.mean())
    values, vectors = np.linalg.eigh(np.cov((training - mean).T / spread[:, None]))
    kept = len(vectors) // 2
    rest = values[:-kept].mean()
    covariance = vectors[:, -kept:] @ np.diag(values[-kept:] - rest) @ vectors[:, -kept:].T + rest * np.eye(12)

    def distance(features: np.ndarray) -> np.ndarray:
        z = (features - mean) / spread
        return np.sqrt(np.einsum("vi,ij,vj->v", z, np.linalg.inv(covariance), z))

    limit = np.quantile(distance(validation), SHARE)
    asked = films(20, 3, shift=1.0)
    found = fitted()(tokens(asked), (1, 1))
    assert found.numpy() == pytest.approx(distance(asked.double().numpy()) / limit, rel=1e-3)


def test_one_in_a_hundred_validation_films_lies_beyond_one_and_odd_films_do():
    found = fitted()
    assert (found(tokens(films(100, 2)), (1, 1)) > 1).sum() == 1
    assert (found(tokens(films(1000, 4)), (1, 1)) > 1).float().mean() < 0.06
    assert (found(torch.zeros(1, 1, 12), (1, 1)) > 1).all()
    off = films(50, 5)
    off[:, 0] += 8  # along no direction in which films differ
    assert (found(tokens(off), (1, 1)) > 1).all()


def test_features_are_means_by_place():
    drawn = torch.randn(2, 36, 4, dtype=torch.float64)
    laid = torch.log(drawn / 0.01 + torch.sqrt((drawn / 0.01) ** 2 + 1)).reshape(2, 6, 6, 4)
    expected = torch.stack([laid[:, r : r + 2, c : c + 2].mean((1, 2)) for r in (0, 2, 4) for c in (0, 2, 4)], dim=2)
    torch.testing.assert_close(film_features(drawn, (6, 6)), expected.flatten(1).float())
    assert film_features(drawn[:, :8], (2, 4)).shape == (2, 4 * 2 * 3)
    turned = drawn.reshape(2, 6, 6, 4).rot90(1, (1, 2)).reshape(2, 36, 4)
    assert (film_features(turned, (6, 6)) - film_features(drawn, (6, 6))).abs().max() > 0.1


def test_nothing_is_said_of_few_films_or_broken_features():
    assert fit_distance(films(15, 1), films(100, 2)) is None
    assert fit_distance(films(200, 1), films(15, 2)) is None
    broken = films(200, 1)
    broken[3, 3] = torch.nan
    assert fit_distance(broken, films(100, 2)) is None


def test_a_channel_that_was_dead_in_training_does_not_decide_alone():
    training, validation = films(200, 1), films(100, 2)
    training[:, 4], validation[:, 4] = 1.0, 1.0
    found = fit_distance(training, validation)
    assert found is not None
    asked = films(5, 3)
    asked[:, 4] = 1.5
    assert found(tokens(asked), (1, 1)).isfinite().all()
    assert (found(tokens(asked), (1, 1)) < 2).all()


def test_it_travels_as_tensors_and_numbers():
    found = fitted()
    file = io.BytesIO()
    torch.save(found.state(), file)
    file.seek(0)
    again = FilmDistance.from_state(torch.load(file, weights_only=True), "here")
    asked = tokens(films(5, 3))
    assert torch.equal(again(asked, (1, 1)), found(asked, (1, 1)))
    assert (again.training_films, again.validation_films) == (200, 100)
    with pytest.raises(CheckpointError, match="here: film_distance holds mean, expected mean, spread"):
        FilmDistance.from_state({"mean": torch.zeros(3)}, "here")
