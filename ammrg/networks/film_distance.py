"""How far a film lies from those a network was trained on, by its encoder's tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.errors import CheckpointError

PLACES = 3
"""Tokens are averaged in so many rows and columns of a film: what is where counts, as far as films agree on it."""
FAINT = 0.01
"""Below about this, tokens count as they are, above by their logarithm: a film that is dark where others are grey has
faint tokens there, which a plain average does not tell from others."""
SHARE = 0.99
"""Of validation films, that lie below a distance of 1."""
LEAST = 16
"""Training and validation films below which nothing is fitted."""
DIRECTIONS = 32
"""Of the greatest variance among training films, at most; the others count with their mean variance."""


@dataclass(frozen=True)
class FilmDistance:
    """Mahalanobis distance under probabilistic PCA (Tipping and Bishop 1999) of averaged tokens, over the distance that
    :data:`SHARE` of validation films do not pass. It holds moments, no film.

    Attributes:
        mean, spread: float32 ``[d]`` of the training films' features (d as in :func:`film_features`); a spread is at
            least their mean.
        directions: float32 ``[k d]``, orthonormal, in units of ``spread``.
        variances: float32 ``[k]`` along them.
        rest: variance in each other direction.
        limit: the Mahalanobis distance that is called 1.
        training_films, validation_films: it was fitted on.
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
        """Distances of films, on the CPU.

        Args:
            tokens: ``[v n e]`` of the encoder this was fitted with.
            grid: ``(gh, gw)``, gh * gw = n.

        Returns:
            float32 ``[v]`` >= 0; 1 is the farthest that :data:`SHARE` of the validation films lie.
        """
        return self._mahalanobis(film_features(tokens, grid).cpu()) / self.limit

    def _mahalanobis(self, features: Tensor) -> Tensor:
        z = (features - self.mean) / self.spread
        along = z @ self.directions.T
        rest = (z.square().sum(1) - along.square().sum(1)).clamp(min=0) / self.rest
        return (along.square() / self.variances).sum(1).add(rest).sqrt()

    def state(self) -> dict[str, Any]:
        """Tensors and numbers, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any], where: str) -> FilmDistance:
        """What :meth:`state` gave.

        Args:
            state: it. where: it was read, for the message.

        Raises:
            CheckpointError: something else.
        """
        names = [field.name for field in fields(cls)]
        if set(state) != set(names):
            raise CheckpointError(
                f"{where}: film_distance holds {', '.join(sorted(state)) or 'nothing'}, expected {', '.join(names)}; "
                "use the release that wrote it, or train stage 1 again"
            )
        return cls(**state)


def film_features(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """Tokens t ``[v n e]`` as asinh(t / :data:`FAINT`), averaged by place: float32 ``[v d]``, d = e times 3 x 3 places
    (or the grid, where that is smaller)."""
    films, _, width = tokens.shape
    laid = (tokens.float() / FAINT).asinh().transpose(1, 2).reshape(films, width, *grid)
    return F.adaptive_avg_pool2d(laid, (min(PLACES, grid[0]), min(PLACES, grid[1]))).flatten(1)


def fit_distance(training: Tensor, validation: Tensor) -> FilmDistance | None:
    """Fit on features ``[m d]`` of training films as they are (not varied), set the limit on validation's ``[m' d]``.

    Returns:
        None where there are fewer than :data:`LEAST` of either, or features are not finite: nothing can be said then.
    """
    if min(len(training), len(validation)) < LEAST or not (training.isfinite().all() and validation.isfinite().all()):
        return None
    mean = training.mean(0)
    spread = training.std(0)
    # A channel that is dead in these films and not in another would decide alone; so none counts more than the mean.
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
