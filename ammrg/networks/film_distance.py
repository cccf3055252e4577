"""Film distance: how unlike the training films a film is, measured on the encoder's tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.errors import CheckpointError

PLACES = 3
"""Rows and columns of the coarse grid over which tokens are averaged: places count as far as films agree on them."""
FAINT = 0.01
"""Size of a token below which it counts linearly; larger ones count about logarithmically. A film that is dark where
others are grey has faint tokens there, and a plain average could not tell it from others."""
SHARE = 0.99
"""Share of validation films whose distance is below 1."""
LEAST = 16
"""Fewest training films and fewest validation films for a fit."""
DIRECTIONS = 32
"""Most directions that are modelled one by one: those of the largest variance among training films. All others share
their mean variance."""


@dataclass(frozen=True)
class FilmDistance:
    """A measure of a film's distance from the training films.

    It is the Mahalanobis distance of averaged tokens under probabilistic PCA (Tipping and Bishop 1999), in units of the
    distance below which :data:`SHARE` of the validation films are. It stores moments only, no film.

    Attributes:
        mean: float32 ``[d]``, mean of the training films' features (d as in :func:`film_features`).
        spread: float32 ``[d]``, their standard deviations; those below the mean of all d are raised to it.
        directions: float32 ``[k d]``, orthonormal, in units of ``spread``.
        variances: float32 ``[k]``, variance along each direction.
        rest: variance in each of the other directions.
        limit: the Mahalanobis distance that becomes 1.
        training_films: number of training films.
        validation_films: number of validation films.
    """

    mean: Tensor
    spread: Tensor
    directions: Tensor
    variances: Tensor
    rest: float
    limit: float
    training_films: int
    validation_films: int

    def __call__(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Measure the distances of films.

        Args:
            tokens: ``[v n e]`` from the encoder that this was fitted with.
            grid: ``(gh, gw)`` with gh * gw = n.

        Returns:
            float32 ``[v]`` >= 0, on the CPU; :data:`SHARE` of the validation films are below 1.
        """
        return self._mahalanobis(film_features(tokens, grid).cpu()) / self.limit

    def _mahalanobis(self, features: Tensor) -> Tensor:
        z = (features - self.mean) / self.spread
        along = z @ self.directions.T
        rest = (z.square().sum(1) - along.square().sum(1)).clamp(min=0) / self.rest
        return (along.square() / self.variances).sum(1).add(rest).sqrt()

    def state(self) -> dict[str, Any]:
        """Return the fields, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any], where: str) -> FilmDistance:
        """Rebuild the measure from its :meth:`state`.

        Args:
            state: as :meth:`state` returned it.
            where: the file that it was read from, for the message.

        Raises:
            CheckpointError: the state has other fields.
        """
        names = [field.name for field in fields(cls)]
        if set(state) != set(names):
            raise CheckpointError(
                f"{where}: film_distance holds {', '.join(sorted(state)) or 'nothing'}, expected {', '.join(names)}; "
                "use the release that wrote it, or train stage 1 again"
            )
        return cls(**state)


def film_features(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Compute the features of films: asinh(t / :data:`FAINT`) of their tokens t, averaged over a coarse grid.

    Args:
        tokens: ``[v n e]``.
        grid: ``(gh, gw)`` with gh * gw = n.

    Returns:
        float32 ``[v d]``, where d is e times the 3 x 3 places (or the grid's cells, where it is smaller).
    """
    films, _, width = tokens.shape
    laid = (tokens.float() / FAINT).asinh().transpose(1, 2).reshape(films, width, *grid)
    return F.adaptive_avg_pool2d(laid, (min(PLACES, grid[0]), min(PLACES, grid[1]))).flatten(1)


def fit_distance(training: Tensor, validation: Tensor) -> FilmDistance | None:
    """Fit the measure of distance.

    Args:
        training: features of training films, not augmented, ``[m d]``; the moments are theirs.
        validation: features of validation films, ``[m' d]``; they set the limit.

    Returns:
        None where there are fewer than :data:`LEAST` films of either kind, or features are not finite.
    """
    if min(len(training), len(validation)) < LEAST or not (training.isfinite().all() and validation.isfinite().all()):
        return None
    mean = training.mean(0)
    spread = training.std(0)
    # Without this limit, a channel that is dead in these films but not in a new one would alone decide the distance.
    spread = spread.clamp(min=max(1e-6, float(spread.mean())))
    z = (training - mean) / spread
    _, sizes, directions = torch.linalg.svd(z, full_matrices=False)
    variances = sizes.square() / (len(z) - 1)
    kept = max(1, min(DIRECTIONS, len(z) // 4, z.shape[1] // 2))
    rest = float(variances[kept:].sum()) / max(1, z.shape[1] - kept)
    floor = max(rest, 1e-6)
    found = FilmDistance(
        mean, spread, directions[:kept].contiguous(), variances[:kept].clamp(min=floor), floor, 1.0, len(training),
        len(validation),
    )  # fmt: skip
    limit = float(torch.quantile(found._mahalanobis(validation), SHARE))
    return FilmDistance(**{**found.state(), "limit": max(limit, 1e-6)})
