"""A small prepared folder, loaded as one of several processes."""

from __future__ import annotations

import torch

from ammrg.types import Study, StudyBatch, View
from datamodules.shards import to_jpeg
from datamodules.studies import StudyDataModule

SIZES = {"train": 150, "val": 37, "test": 21}
RARE = 1.0, *[float("nan")] * 13
COMMON = *[float("nan")] * 13, 1.0


def study(number: int, split: str) -> Study:
    pixels = torch.full((40, 40), 10 + number, dtype=torch.uint8).numpy()
    views = tuple(View(to_jpeg(pixels), name) for name in ("frontal", "lateral")[: 1 + number % 2])
    labels = RARE if number % 25 == 0 else COMMON
    text = f"Report of {split} {number}."
    return Study(f"{split}{number}", f"{split}-p{number}", split, views, text, "", "", labels, "test")


class OneOf(StudyDataModule):
    """A data module as one of several processes, without starting them."""

    place = (0, 1)

    @property
    def process(self) -> tuple[int, int]:
        return self.place


def module(folder: str, rank: int = 0, world: int = 1, **options: object) -> StudyDataModule:
    made = OneOf(folder, **{"image_size": 32, "batch_size": 4, "num_workers": 0, "seed": 5, **options})
    made.place = (rank, world)
    return made


def batches(loader) -> list[list[str]]:
    return [batch.study_ids for batch in loader]


def flat(*parts: list[list[str]]) -> list[str]:
    """The study ids in the batches of several processes."""
    return [name for part in parts for names in part for name in names]


def same(one: StudyBatch, other: StudyBatch) -> bool:
    plain = all(getattr(one, name) == getattr(other, name) for name in ("study_ids", "reports", "projections"))
    labels = torch.equal(one.labels.nan_to_num(9), other.labels.nan_to_num(9))
    return plain and labels and torch.equal(one.images, other.images)
