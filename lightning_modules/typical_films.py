"""Typical training and validation films, from which stage 1 fits its film distance."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ammrg.gathering import gather_all
from ammrg.networks.film_distance import FilmDistance, FilmFeatures, TooFewFilms, film_features, fit_distance
from ammrg.networks.visual_encoder import VisualEncoder

FILMS = 256
"""Films of each split, from evenly spaced studies, one a study; read once, and encoded at each validation."""


class TypicalFilms:
    """Typical films of a data module, read at first use; each process reads a share.

    Args:
        data: a data module with ``typical_films`` (:class:`datamodules.studies.StudyDataModule`).
        alone: every process reads all films instead, so that all run the network equally often, which sharded weights
            need.
    """

    def __init__(self, data: Any, alone: bool) -> None:
        self.data, self.alone = data, alone
        self._films: dict[str, Tensor] = {}

    def fit(self, encoder: VisualEncoder, device: torch.device) -> FilmDistance | TooFewFilms | None:
        """Fit the distance to the encoder's present features; the same in every process."""
        return fit_distance(*(self._features(split, encoder, device) for split in ("train", "val")))

    @torch.no_grad()
    def _features(self, split: str, encoder: VisualEncoder, device: torch.device) -> FilmFeatures:
        if split not in self._films:
            self._films[split] = self.data.typical_films(split, FILMS, self.alone)
        found: list[FilmFeatures] = []
        for films in self._films[split].split(self.data.eval_batch_size):
            with torch.autocast(device.type, enabled=False):  # later films are compared in full precision
                found.append(film_features(films, *encoder(films.to(device))))
        whole = found if self.alone else [part for parts in gather_all(found) for part in parts]
        return FilmFeatures(*(torch.cat(views) for views in zip(*whole, strict=True)))
