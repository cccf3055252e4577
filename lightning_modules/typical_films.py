"""Films of training and validation by which stage 1 learns how far a film may lie from them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ammrg.gathering import gather_all
from ammrg.networks.film_distance import FilmDistance, film_features, fit_distance
from ammrg.networks.visual_encoder import VisualEncoder

FILMS = 256
"""Of each split, evenly spaced, one a study: read once a training, and seen at each validation."""


class TypicalFilms:
    """Reads the films at first use, a share on each process.

    Args:
        data: a data module with ``typical_films`` (:class:`datamodules.studies.StudyDataModule`).
        alone: every process reads all of them, so that all run the network equally often, as sharded weights need.
    """

    def __init__(self, data: Any, alone: bool) -> None:
        self.data, self.alone = data, alone
        self._films: dict[str, Tensor] = {}

    def fit(self, encoder: VisualEncoder, device: torch.device) -> FilmDistance | None:
        """The distance of the encoder as it is, the same on every process; None where there are too few films."""
        return fit_distance(*(self._features(split, encoder, device) for split in ("train", "val")))

    @torch.no_grad()
    def _features(self, split: str, encoder: VisualEncoder, device: torch.device) -> Tensor:
        if split not in self._films:
            self._films[split] = self.data.typical_films(split, FILMS, self.alone)
        found = []
        for films in self._films[split].split(self.data.eval_batch_size):
            with torch.autocast(device.type, enabled=False):  # what is asked later is asked in full precision
                found.append(film_features(*encoder(films.to(device))).cpu())
        parts = [torch.cat(found) if found else None]
        whole = [part for part in (parts if self.alone else gather_all(parts[0])) if part is not None]
        return torch.cat(whole)
