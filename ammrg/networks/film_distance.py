"""Film distance: how unlike the training films a film is, by the encoder's tokens and by its light and dark parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.errors import CheckpointError
from ammrg.networks.probabilistic_pca import ProbabilisticPCA, fit_pca

PLACES = 3
"""Rows and columns of the coarse grid over which tokens are averaged: places count as far as films agree on them."""
FAINT = 0.01
"""Size of a token below which it counts linearly; larger ones count about logarithmically. A film that is dark where
others are grey has faint tokens there, and a plain average could not tell it from others."""
THUMBNAIL = 8
"""Side of the thumbnail, which tells an inverted film or one on its side where the tokens hardly differ."""
EVEN = 0.02
"""Least standard deviation of a thumbnail, as a share of white, by which it is scaled."""
SHARE = 0.99
"""Share of validation films whose distance is below 1."""
LEAST = 16
"""Fewest training films and fewest validation films for a fit."""
COUNTS = ("training_films", "validation_films")


class FilmFeatures(NamedTuple):
    """What two views of films see."""

    tokens: Tensor
    """float32 ``[v d]``: the encoder's tokens averaged in places; d is their width times the number of places."""
    thumbnail: Tensor
    """float32 ``[v 64]``: the film in 8 x 8 pixels, of mean 0 and standard deviation 1."""


VIEWS = FilmFeatures._fields


class TooFewFilms(NamedTuple):
    """Stands in place of a :class:`FilmDistance` that could not be fitted."""

    training_films: int
    validation_films: int

    def state(self) -> dict[str, Any]:
        """Return both numbers by name, for a checkpoint."""
        return self._asdict()


@dataclass(frozen=True)
class FilmDistance:
    """A measure of a film's distance from the training films.

    It is the greater of two distances under probabilistic PCA, each in units of the distance below which :data:`SHARE`
    of the validation films are; likewise the greater of them. It stores moments only, no film.

    Attributes:
        views: of tokens and of thumbnails.
        limits: of each, the distance that becomes 1.
        limit: the greater distance, in units of ``limits``, that becomes 1.
        training_films: number of training films.
        validation_films: number of validation films.
    """

    views: tuple[ProbabilisticPCA, ProbabilisticPCA]
    limits: tuple[float, float]
    limit: float
    training_films: int
    validation_films: int

    def __call__(self, films: Tensor, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Measure the distances of films.

        Args:
            films: uint8 ``[v 1 h w]``.
            tokens: ``[v n e]``, of these films from the encoder that this was fitted with.
            grid: ``(gh, gw)`` with gh * gw = n.

        Returns:
            float32 ``[v]`` >= 0, on the CPU; :data:`SHARE` of the validation films are below 1.
        """
        return self.of(film_features(films, tokens, grid))

    def of(self, features: FilmFeatures) -> Tensor:
        """The same of films whose features are known."""
        return _greater(self.views, self.limits, features) / self.limit

    def state(self) -> dict[str, Any]:
        """Return tensors and numbers by name, for a checkpoint."""
        kept: dict[str, Any] = {name: getattr(self, name) for name in ("limit", *COUNTS)}
        for name, view, limit in zip(VIEWS, self.views, self.limits, strict=True):
            kept |= {f"{name}.{field}": value for field, value in view._asdict().items()} | {f"{name}.limit": limit}
        return kept

    @classmethod
    def from_state(cls, state: Mapping[str, Any], where: str) -> FilmDistance | TooFewFilms | None:
        """Rebuild the measure, or what stands in its place, from its :meth:`state`.

        Args:
            state: as :meth:`state` or :meth:`TooFewFilms.state` returned it.
            where: the file that it was read from, for the message.

        Returns:
            None where an earlier release wrote the state, which measured the tokens alone, in another way.

        Raises:
            CheckpointError: the state has other fields.
        """
        if "mean" in state:
            return None
        if set(state) == set(COUNTS):
            return TooFewFilms(**state)
        fields = ProbabilisticPCA._fields
        names = {"limit", *COUNTS, *(f"{view}.{field}" for view in VIEWS for field in (*fields, "limit"))}
        if set(state) != names:
            raise CheckpointError(
                f"{where}: film_distance holds {', '.join(sorted(state)) or 'nothing'}, expected "
                f"{', '.join(sorted(names))}; use the release that wrote it, or train stage 1 again"
            )
        tokens, thumbnail = (ProbabilisticPCA(*(state[f"{view}.{field}"] for field in fields)) for view in VIEWS)
        limits = (state["tokens.limit"], state["thumbnail.limit"])
        return cls((tokens, thumbnail), limits, state["limit"], *(state[name] for name in COUNTS))


def film_features(films: Tensor, tokens: Tensor, grid: tuple[int, int]) -> FilmFeatures:
    """Compute the features of films.

    Tokens t are read as asinh(t / :data:`FAINT`), averaged over a coarse grid, and scaled to length 1 in each of its
    places: a film that excites hardly any token is as far as one that excites others.

    Args:
        films: uint8 ``[v 1 h w]``.
        tokens: ``[v n e]``, of these films.
        grid: ``(gh, gw)`` with gh * gw = n.

    Returns:
        On the CPU; 3 x 3 places, or the grid's cells where it is smaller.
    """
    count, _, width = tokens.shape
    laid = (tokens.float() / FAINT).asinh().transpose(1, 2).reshape(count, width, *grid)
    placed = F.adaptive_avg_pool2d(laid, (min(PLACES, grid[0]), min(PLACES, grid[1])))
    small = F.adaptive_avg_pool2d(films.float() / 255, THUMBNAIL).flatten(1)
    centred = small - small.mean(1, keepdim=True)
    scaled = centred / centred.std(1, keepdim=True).clamp(min=EVEN)
    return FilmFeatures(F.normalize(placed, dim=1).flatten(1).cpu(), scaled.cpu())


def fit_distance(training: FilmFeatures, validation: FilmFeatures) -> FilmDistance | TooFewFilms | None:
    """Fit the measure of distance.

    Args:
        training: features of training films, not augmented; the moments are theirs.
        validation: features of validation films; they set the limits.

    Returns:
        Their numbers where there are fewer than :data:`LEAST` films of either kind; None where features are not finite.
    """
    counts = [len(films.thumbnail) for films in (training, validation)]
    if min(counts) < LEAST:
        return TooFewFilms(*counts)
    if not all(view.isfinite().all() for view in (*training, *validation)):
        return None
    tokens, thumbnail = (fit_pca(view) for view in training)
    limits = (_limit(tokens.distance(validation.tokens)), _limit(thumbnail.distance(validation.thumbnail)))
    limit = _limit(_greater((tokens, thumbnail), limits, validation))
    return FilmDistance((tokens, thumbnail), limits, limit, *counts)


def _greater(views: tuple[ProbabilisticPCA, ...], limits: tuple[float, ...], features: FilmFeatures) -> Tensor:
    found = [view.distance(seen) / limit for view, limit, seen in zip(views, limits, features, strict=True)]
    return torch.stack(found).amax(0)


def _limit(distances: Tensor) -> float:
    return max(float(torch.quantile(distances, SHARE)), 1e-6)
