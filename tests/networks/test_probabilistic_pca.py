"""The Mahalanobis distance under probabilistic PCA against its formula in full."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ammrg.networks.probabilistic_pca import fit_pca


def samples(count: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    """Features whose covariance has three strong directions."""
    draw = torch.Generator().manual_seed(seed)
    mixing = torch.randn(3, 12, generator=torch.Generator().manual_seed(99)) * torch.tensor([[3.0], [2.0], [1.0]])
    strong = torch.randn(count, 3, generator=draw) @ mixing
    return 5 + shift + strong + 0.3 * torch.randn(count, 12, generator=draw)


def test_it_is_the_mahalanobis_distance_of_probabilistic_pca():
    training = samples(200, 1).double().numpy()
    mean, spread = training.mean(0), training.std(0, ddof=1)
    spread = np.maximum(spread, spread.mean())
    values, vectors = np.linalg.eigh(np.cov((training - mean).T / spread[:, None]))
    kept = len(vectors) // 2
    rest = values[:-kept].mean()
    covariance = vectors[:, -kept:] @ np.diag(values[-kept:] - rest) @ vectors[:, -kept:].T + rest * np.eye(12)
    asked = samples(20, 3, shift=1.0)
    z = (asked.double().numpy() - mean) / spread
    expected = np.sqrt(np.einsum("vi,ij,vj->v", z, np.linalg.inv(covariance), z))
    assert fit_pca(samples(200, 1)).distance(asked).numpy() == pytest.approx(expected, rel=1e-3)


def test_off_the_directions_in_which_samples_differ_is_far():
    found, off = fit_pca(samples(200, 1)), samples(50, 5)
    near = found.distance(off)
    off[:, 0] += 8
    assert (found.distance(off) > 2 * near.max()).all()


def test_a_feature_that_was_dead_in_the_samples_does_not_decide_alone():
    training = samples(200, 1)
    training[:, 4] = 1.0
    found, asked = fit_pca(training), samples(5, 3)
    asked[:, 4] = 1.0
    before = found.distance(asked)
    asked[:, 4] = 1.5
    assert found.distance(asked).isfinite().all()
    assert (found.distance(asked) < 2 * before).all()
