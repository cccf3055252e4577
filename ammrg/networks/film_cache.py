"""What stage 1 says of training studies, kept from epoch to epoch: where it is frozen and films do not vary, it is the
same each time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ammrg.networks.report_generator import SeenFilms
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
        unknown = torch.tensor([study_id not in self.kept for study_id in batch.study_ids])
        films = unknown.to(batch.study_of_view.device)[batch.study_of_view]
        fresh = see(films) if bool(films.any()) else None
        parts: list[SeenFilms] = []
        done = 0
        for row, study_id in enumerate(batch.study_ids):
            kept = self.kept.get(study_id)
            if kept is not None:
                parts.append(kept)
                continue
            assert fresh is not None
            count = int((batch.study_of_view == row).sum())
            parts.append(fresh.take(torch.arange(done, done + count, device=fresh.logits.device)))
            done += count
            self.keep(study_id, parts[-1])
        return SeenFilms.join(parts).to(batch.images.device)

    def keep(self, study_id: str, seen: SeenFilms) -> None:
        """Remember a study where there is room."""
        if seen.size <= self.room:
            self.room -= seen.size
            self.kept[study_id] = seen.to(torch.device("cpu"))
