"""Drawn films on which stage 1 learns within seconds: a finding is a bright blob in its quarter of the film."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from torch.utils.data import DataLoader, Dataset

from ammrg.findings import NO_FINDING, NUM_FINDINGS
from ammrg.types import Box, StudyBatch
from tests.quiet_trainer import quiet_trainer
from tests.tiny_encoder import ENCODER

SIDE, SPOTS = 48, 4
SETTINGS: dict[str, Any] = {
    "encoder": ENCODER,
    "qformer": {"width": 16, "layers": 1, "heads": 2, "dropout": 0.0},
    "bootstrap": 20,
    "lr": 3e-3,
    "warmup_steps": 2,
    "cam": "hirescam",
}


class Blobs(Dataset[tuple[torch.Tensor, list[float], list[Box]]]):
    """Findings 0 .. 3 are bright blobs, each in its own quarter of the film."""

    def __init__(self, count: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.items = [self._draw(generator) for _ in range(count)]

    def _draw(self, generator: torch.Generator) -> tuple[torch.Tensor, list[float], list[Box]]:
        film = torch.randint(60, 100, (1, SIDE, SIDE), generator=generator, dtype=torch.uint8)
        labels, boxes = [math.nan] * NUM_FINDINGS, []
        for finding in range(SPOTS):
            if torch.rand((), generator=generator) < 0.4:
                row, column = (torch.randint(2, 14, (2,), generator=generator)).tolist()
                row, column = row + 24 * (finding // 2), column + 24 * (finding % 2)
                film[0, row : row + 8, column : column + 8] += 100
                labels[finding] = 1.0
                boxes.append(Box(0, finding, column / SIDE, row / SIDE, (column + 8) / SIDE, (row + 8) / SIDE))
        labels[NO_FINDING] = math.nan if boxes else 1.0
        return film, labels, boxes

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return (index, *self.items[index])


def collate(rows: list[Any]) -> StudyBatch:
    return StudyBatch(
        images=torch.stack([film for _, film, _, _ in rows]),
        study_of_view=torch.arange(len(rows)),
        labels=torch.tensor([labels for _, _, labels, _ in rows]),
        reports=[""] * len(rows),
        study_ids=[f"s{index}" for index, *_ in rows],
        subject_ids=[f"p{index // 2}" for index, *_ in rows],
        projections=["frontal"] * len(rows),
        boxes=[box._replace(view=i) for i, (*_, boxes) in enumerate(rows) for box in boxes],
    )


def loader(count: int, seed: int, shuffle: bool = False) -> DataLoader[Any]:
    return DataLoader(Blobs(count, seed), batch_size=16, shuffle=shuffle, collate_fn=collate)


def trainer(folder: Path, **changes: Any) -> Trainer:
    return quiet_trainer(folder, **{"enable_checkpointing": True, **changes})
