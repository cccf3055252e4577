"""What stage 1 says of training studies, kept from epoch to epoch: where it is frozen and films do not vary, it is the
same each time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ammrg.networks.visual_prompt import SeenFilms
from ammrg.types import StudyBatch


class FilmCache:
    """Studies -> what stage 1 says of their films, computed once a study.

    Args:
        mebibytes: of main memory to fill at most; studies that come later are computed each time.
    """

    def __init__(self, mebibytes: int) -> None:
        self.room = mebibytes * 2**20
        self.kept: dict[str, SeenFilms] = {}
        """By study id, on the CPU, its films in their order."""

    def __call__(self, batch: StudyBatch, see: Callable[[Tensor], SeenFilms]) -> SeenFilms:
        """All films of a batch, in its order: those of known studies from memory, the rest from ``see`` (bool ``[v]``,
        which of the batch's films -> what stage 1 says of them), on the device of the batch."""
        # A study that comes twice in a batch is looked at once.
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
        """Remember a study where there is room."""
        if seen.size <= self.room:
            self.room -= seen.size
            self.kept[study_id] = seen.to(torch.device("cpu"))
