"""An out-of-memory error names the largest batch that fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader

from ammrg.types import StudyBatch
from callbacks.gpu_memory import GpuMemory
from tests.quiet_trainer import quiet_trainer

ROOM = 5
"""Number of films that fit the simulated GPU."""


def batch(studies: int) -> StudyBatch:
    """Two films a study."""
    owner = torch.arange(studies).repeat_interleave(2)
    names = [f"s{number}" for number in range(studies)]
    return StudyBatch(
        torch.zeros(2 * studies, 1, 4, 4, dtype=torch.uint8),
        owner,
        torch.zeros(studies, 14),
        names,
        names,
        names,
        ["frontal"] * (2 * studies),
        [],
    )


class Hungry(LightningModule):
    def __init__(self, room: int) -> None:
        super().__init__()
        self.room, self.weight = room, torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch: StudyBatch, index: int) -> Tensor:
        if len(batch.images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.log("train/loss", self.weight)
        return self.weight * len(batch.study_ids)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader([batch(2), batch(16)], batch_size=None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("room", "message"),
    [
        (ROOM, r"step 1 with 16 studies \(32 films\); 2 of its 16 studies fit: set data.micro_batch_size=2"),
        (20, "8 of its 16 studies fit: set data.micro_batch_size=8"),
    ],
)
def test_the_largest_half_that_fits_is_named(tmp_path: Path, room: int, message: str) -> None:
    trainer = quiet_trainer(tmp_path, max_epochs=1, callbacks=[GpuMemory()])
    with pytest.raises(torch.OutOfMemoryError, match=message):
        trainer.fit(Hungry(room))


def test_the_first_studies_keep_their_films_together() -> None:
    less = batch(3).take(range(2))
    assert less.study_ids == ["s0", "s1"]
    assert less.study_of_view.tolist() == [0, 0, 1, 1]
    assert len(less.images) == len(less.projections) == 4
