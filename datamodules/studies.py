"""The base of all data modules: a prepared folder -> batches of studies."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from ammrg.errors import DataError, SettingsError
from ammrg.findings import is_unlabelled
from ammrg.imaging.reading import read_film
from ammrg.imaging.transforms import FilmTransform, eval_transform, train_transform
from ammrg.types import Box
from datamodules.collate import Example, collate
from datamodules.shards import load_split, read_card

if TYPE_CHECKING:
    import datasets

SHUFFLE_SEED = 20_260
"""Of the derangement of films among studies and of noise films: the same in every run, so that gaps compare."""
SMALLEST_IMAGE, LARGEST_IMAGE = 16, 2048

Films = Literal["own", "shuffled", "noise"]
Key = int | tuple[int, int]
"""A row, or a row and the epoch it is drawn in."""


class EpochShuffle(Sampler[Key]):
    """Every row once an epoch, in an order that depends on seed and epoch alone.

    It yields (row, epoch), so that the augmentation of a study depends on seed, epoch and row, and on no worker.
    Lightning calls ``set_epoch``; without it each pass is the next epoch.
    """

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next pass."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self.epoch
        self.epoch += 1
        for row in np.random.default_rng((self.seed, epoch)).permutation(self.count):
            yield int(row), epoch


class StudyDataset(Dataset[Example]):
    """Rows of a prepared split as examples; one study an item."""

    def __init__(
        self,
        rows: datasets.Dataset,
        transform: FilmTransform,
        *,
        frontal_only: bool = False,
        films: Films = "own",
        seed: int = 0,
    ) -> None:
        """
        Args:
            rows: of a prepared split.
            transform: what happens to each film.
            frontal_only: leave out other projections, except where a study has no frontal film.
            films: ``own``; ``shuffled`` gives each study the films of another; ``noise`` gives it none that mean
                anything.
            seed: of the augmentation.

        Raises:
            SettingsError: ``shuffled`` with a single study.
        """
        self.rows, self.transform, self.frontal_only, self.films, self.seed = rows, transform, frontal_only, films, seed
        self.film_rows = derangement(len(rows)) if films == "shuffled" else None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Key) -> Example:
        index, epoch = key if isinstance(key, tuple) else (key, 0)
        row = self.rows[index]
        shown = row if self.film_rows is None else self.rows[int(self.film_rows[index])]
        return self.example(row, shown, index, epoch)

    def example(self, row: Mapping[str, Any], shown: Mapping[str, Any], index: int, epoch: int) -> Example:
        """The example of a row with the films of another row (usually the same)."""
        kept = self.views(shown["projections"])
        known = [Box(**box) for box in shown["boxes"]] if self.films != "noise" else []
        films: list[NDArray[np.uint8]] = []
        boxes: list[Box] = []
        for place, view in enumerate(kept):
            if self.films == "noise":
                draw = np.random.default_rng((SHUFFLE_SEED, index, place))
                film = draw.integers(0, 256, (self.transform.size, self.transform.size), dtype=np.uint8)
            else:
                film = read_film(shown["images"][view], at_least=self.transform.size)
            on_film = [box._replace(view=place) for box in known if box.view == view]
            film, on_film_now = self.transform.with_boxes(film, on_film, (self.seed, epoch, index, place))
            films.append(film)
            boxes += on_film_now
        return Example(
            study_id=row["study_id"],
            subject_id=row["subject_id"],
            films=np.stack(films),
            projections=[shown["projections"][view] for view in kept],
            labels=np.asarray(row["labels"], np.float32),
            report=row["report"],
            boxes=boxes,
        )

    def views(self, projections: list[str]) -> list[int]:
        """Which films of a study are used."""
        frontal = [view for view, name in enumerate(projections) if name == "frontal"]
        return frontal if self.frontal_only and frontal else list(range(len(projections)))


def derangement(count: int) -> NDArray[np.int64]:
    """A fixed permutation without a fixed point: one cycle through all rows in random order.

    Raises:
        SettingsError: fewer than two rows.
    """
    if count < 2:
        raise SettingsError(f"films=shuffled needs at least 2 studies in the split, found {count}")
    order = np.random.default_rng(SHUFFLE_SEED).permutation(count)
    partner = np.empty(count, np.int64)
    partner[order] = np.roll(order, -1)
    return partner


def start_loader_worker(worker: int) -> None:
    """A worker is one process on one core: OpenCV's own threads would only get in each other's way."""
    cv2.setNumThreads(0)


class StudyDataModule(LightningDataModule):
    """Batches of studies from a prepared folder (``make data``). Training shuffles and varies films; evaluation keeps
    every study, in order, as it is."""

    def __init__(
        self,
        folder: str,
        image_size: int = 224,
        batch_size: int = 16,
        eval_batch_size: int | None = None,
        num_workers: int = 2,
        views: Literal["all", "frontal"] = "all",
        augment: bool = True,
        films: Films = "own",
        predict_split: str = "test",
        test_splits: tuple[str, ...] = ("test",),
        labelled_only: bool = False,
        seed: int | None = None,
    ) -> None:
        """
        Args:
            folder: prepared shards and their card.
            image_size: side in pixels of the square a film is squashed to.
            batch_size: studies a training batch; each may have several films.
            eval_batch_size: studies a batch elsewhere; None takes ``batch_size``.
            num_workers: loader processes; 0 loads in the main one.
            views: ``all`` films of a study, or ``frontal`` ones only (all, where it has no frontal).
            augment: vary training films at random (never a flip).
            films: what evaluation loaders show: each study its ``own`` films, those of another study
                (``shuffled``, fixed), or ``noise``. Training always shows a study its own.
            predict_split: what ``predict`` reads: ``train``, ``val`` or ``test``; complete, in order, not varied.
            test_splits: what ``test`` reads, a dataloader each, complete and in order.
            labelled_only: leave studies without any label out of training.
            seed: of order and variation in training; None takes the run's ``seed_everything``.
        """
        super().__init__()
        if not SMALLEST_IMAGE <= image_size <= LARGEST_IMAGE:
            raise SettingsError(
                f"data.image_size ({image_size}) must lie between {SMALLEST_IMAGE} and {LARGEST_IMAGE} pixels"
            )
        for name, value in (("batch_size", batch_size), ("eval_batch_size", eval_batch_size)):
            if value is not None and value < 1:
                raise SettingsError(f"data.{name} ({value}) must be at least 1 study")
        if num_workers < 0:
            raise SettingsError(f"data.num_workers ({num_workers}) must be 0 or more")
        for name, value_, allowed in (
            ("films", films, ("own", "shuffled", "noise")),
            ("views", views, ("all", "frontal")),
            *(
                (name, split, ("train", "val", "test"))
                for name, split in (
                    ("predict_split", predict_split),
                    *(("test_splits", split) for split in test_splits),
                )
            ),
        ):
            if value_ not in allowed:
                raise SettingsError(f"data.{name} ({value_}) must be one of {', '.join(allowed)}")
        self.save_hyperparameters(logger=False)
        self.folder = Path(folder)
        self.image_size, self.batch_size, self.num_workers = image_size, batch_size, num_workers
        self.eval_batch_size = eval_batch_size or batch_size
        self.frontal_only = views == "frontal"
        self.augment, self.films, self.predict_split = augment, films, predict_split
        self.test_splits = tuple(test_splits)
        self.labelled_only, self.seed = labelled_only, seed
        self.left_out: dict[str, int] = {}
        """Studies kept out of training, by reason; filled when the train loader is made."""
        self._rows: dict[str, datasets.Dataset] = {}

    @property
    def card(self) -> dict[str, Any]:
        """The card of the prepared folder.

        Raises:
            DataError: the folder is not prepared.
        """
        return read_card(self.folder)

    def prepare_data(self) -> None:
        """On one process: check the folder, and map its splits once, so that other processes find them mapped."""
        for split in self.card["counts"]:
            self.rows(split)

    def setup(self, stage: str | None = None) -> None:
        """On every process: check that the folder is prepared."""
        _ = self.card

    def rows(self, split: str) -> datasets.Dataset:
        """All rows of a split, memory-mapped."""
        if split not in self._rows:
            self._rows[split] = load_split(self.folder, split)
        return self._rows[split]

    def ids(self, split: str) -> tuple[list[str], list[str]]:
        """Study ids and subject ids of a whole split, in order."""
        rows = self.rows(split)
        return list(rows["study_id"]), list(rows["subject_id"])

    def texts(self, split: str) -> list[str]:
        """Target texts of a whole split, in order."""
        return list(self.rows(split)["report"])

    def training_rows(self) -> datasets.Dataset:
        """The train split without studies that have no report or, with ``labelled_only``, no label.

        Raises:
            DataError: nothing is left.
        """
        rows = self.rows("train")
        silent = [not report.strip() for report in rows["report"]]
        unlabelled = [self.labelled_only and is_unlabelled(labels) for labels in rows["labels"]]
        kept = [
            i for i, (no_text, no_label) in enumerate(zip(silent, unlabelled, strict=True)) if not (no_text or no_label)
        ]
        self.left_out = {"without_report": sum(silent), "without_label": sum(unlabelled)}
        if not kept:
            raise DataError(f"{self.folder}: no study of the train split is left to train on: {self.left_out}")
        if len(kept) < len(rows):
            rank_zero_info(f"training on {len(kept)} of {len(rows)} studies; left out: {self.left_out}")
            rows = rows.select(kept)
        return rows

    def train_dataloader(self) -> DataLoader[Example]:
        """Shuffled anew each epoch; the last batch may be smaller."""
        seed = int(os.environ.get("PL_GLOBAL_SEED") or 0) if self.seed is None else self.seed
        transform = train_transform(self.image_size) if self.augment else eval_transform(self.image_size)
        dataset = StudyDataset(self.training_rows(), transform, frontal_only=self.frontal_only, seed=seed)
        return self.loader(dataset, self.batch_size, EpochShuffle(len(dataset), seed))

    def val_dataloader(self) -> DataLoader[Example]:
        """The whole validation split, in order."""
        return self.evaluation_loader("val")

    def test_dataloader(self) -> list[DataLoader[Example]]:
        """The whole of each of ``test_splits``, in order."""
        return [self.evaluation_loader(split) for split in self.test_splits]

    def predict_dataloader(self) -> DataLoader[Example]:
        """The whole of ``predict_split``, in order."""
        return self.evaluation_loader(self.predict_split)

    def evaluation_loader(self, split: str) -> DataLoader[Example]:
        """Every study of a split, in order, not varied, with the films that ``films`` names."""
        transform = eval_transform(self.image_size)
        dataset = StudyDataset(self.rows(split), transform, frontal_only=self.frontal_only, films=self.films)
        return self.loader(dataset, self.eval_batch_size, None)

    def loader(self, dataset: StudyDataset, batch_size: int, sampler: Sampler[Key] | None) -> DataLoader[Example]:
        """A loader over a dataset, in the sampler's order or the rows'."""
        return DataLoader(
            dataset,
            batch_size=batch_size,
            sampler=sampler,
            collate_fn=collate,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=start_loader_worker,
        )
