"""How far a sample is from a population: the Mahalanobis distance under probabilistic PCA (Tipping and Bishop 1999)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

DIRECTIONS = 32
"""Most directions that are modelled one by one: those of the largest variance. All others share their mean variance."""


class ProbabilisticPCA(NamedTuple):
    """A normal distribution of d features, from their moments alone."""

    mean: Tensor
    """float32 ``[d]``."""
    spread: Tensor
    """float32 ``[d]``: their standard deviations; those below the mean of all d are raised to it."""
    directions: Tensor
    """float32 ``[k d]``, orthonormal, in units of ``spread``."""
    variances: Tensor
    """float32 ``[k]``: variance along each direction."""
    rest: float
    """Variance in each of the other directions."""

    def distance(self, features: Tensor) -> Tensor:
        """Measure the distances of samples ``[m d]``: float32 ``[m]`` >= 0."""
        z = (features - self.mean) / self.spread
        along = z @ self.directions.T
        rest = (z.square().sum(1) - along.square().sum(1)).clamp(min=0) / self.rest
        return (along.square() / self.variances).sum(1).add(rest).sqrt()


def fit_pca(samples: Tensor) -> ProbabilisticPCA:
    """Fit the distribution to finite samples, float32 ``[m d]``."""
    mean = samples.mean(0)
    spread = samples.std(0)
    # Without this limit, a feature that is dead in these samples but not in a new one would alone decide the distance.
    spread = spread.clamp(min=max(1e-6, float(spread.mean())))
    z = (samples - mean) / spread
    _, sizes, directions = torch.linalg.svd(z, full_matrices=False)
    variances = sizes.square() / (len(z) - 1)
    kept = max(1, min(DIRECTIONS, len(z) // 4, z.shape[1] // 2))
    rest = max(float(variances[kept:].sum()) / max(1, z.shape[1] - kept), 1e-6)
    return ProbabilisticPCA(mean, spread, directions[:kept].contiguous(), variances[:kept].clamp(min=rest), rest)
