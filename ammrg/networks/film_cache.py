"""A cache of stage 1's output for training studies.

Where stage 1 is frozen and films are not augmented, its output for a study is the same in every epoch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ammrg.networks.visual_prompt import SeenFilms
from ammrg.types import StudyBatch


class FilmCache:
    """Stage 1's output for the films of each study, computed once per study.

    Args:
        mebibytes: most main memory to use; the outputs of studies beyond it are computed each time.
    """

    def __init__(self, mebibytes: int) -> None:
        self.room = mebibytes * 2**20
        self.kept: dict[str, SeenFilms] = {}
        """Study id -> output for its films in their order, on the CPU."""

    def __call__(self, batch: StudyBatch, see: Callable[[Tensor], SeenFilms]) -> SeenFilms:
        """Return stage 1's output for all films of a batch, in their order and on its device.

        Args:
            batch: of v films.
            see: computes the output for some of the batch's films, given which (bool ``[v]``); called for the films of
                studies that are not in the cache.
        """
        # A study that is in the batch twice is computed once.
        new: dict[str, int] = {}
        for row, study_id in enumerate(batch.study_ids):
            if study_id not in self.kept:
                new.setdefault(study_id, row)
        rows = torch.tensor(list(new.values()), device=batch.study_of_view.device)
        films = torch.isin(batch.study_of_view, rows)
        found = {study_id: self.kept[study_id] for study_id in batch.study_ids if study_id not in new}
        if new:
            fresh, owner = see(films), batch.study_of_view[films]
            for study_id, row in new.items():
                found[study_id] = fresh.take((owner == row).nonzero().flatten().to(fresh.logits.device))
                self.keep(study_id, found[study_id])
        return SeenFilms.join([found[study_id] for study_id in batch.study_ids]).to(batch.images.device)

    def keep(self, study_id: str, seen: SeenFilms) -> None:
        """Store the output for a study where there is room."""
        if seen.size <= self.room:
            self.room -= seen.size
            self.kept[study_id] = seen.to(torch.device("cpu"))
