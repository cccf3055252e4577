"""The base of all data modules: it makes batches of studies from a prepared folder."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray

from ammrg.errors import DataError, SettingsError
from ammrg.imaging.transforms import eval_transform, train_transform
from datamodules.data_settings import check_settings
from datamodules.dataset import Films, StudyDataset
from datamodules.loading import StudyLoader, StudySampler, in_order, study_loader
from datamodules.ordering import GROUPS_IN_BUFFER, lanes_read
from datamodules.prepared import PreparedFolder, Rows
from datamodules.training_place import TrainingPlace
from datamodules.training_studies import TrainingStudies

MOST_WORKERS = 8
"""Most loader processes by default; more are no faster at the sizes of prepared films."""


class StudyDataModule(LightningDataModule):
    """Batches of studies from a prepared folder (``make data``).

    Training shuffles studies and augments films. Evaluation reads every study, in order, without augmentation.
    """

    dataset: str | None = None
    """The data set that the folder must contain; None = any."""

    def __init__(
        self,
        folder: str,
        image_size: int = 224,
        batch_size: int = 16,
        micro_batch_size: int | None = None,
        eval_batch_size: int | None = None,
        num_workers: int | None = None,
        views: Literal["all", "frontal"] = "all",
        augment: bool = True,
        films: Films = "own",
        predict_split: str = "test",
        test_splits: tuple[str, ...] = ("test",),
        labelled_only: bool = False,
        folds: int = 1,
        left_out_fold: int | None = None,
        repeat_threshold: float = 0.0,
        bucket_by_length: bool = False,
        streamed: bool | None = None,
        seed: int | None = None,
        loader_timeout: int = 600,
    ) -> None:
        """Check the settings; no data are read yet.

        Args:
            folder: folder of the prepared shards and their card, or a URL that fsspec knows (``s3://...``).
            image_size: side, in pixels, of the square that a film is resized to; between 16 and 2048.
            batch_size: number of studies of an optimizer step, at least 1, shared evenly by all processes, so that a
                run learns the same on any number of them.
            micro_batch_size: most studies, at least 1, that a process takes at a time in training, limited by its
                memory; gradients of several such batches are accumulated. None = its whole share of ``batch_size``.
            eval_batch_size: number of studies, at least 1, that a process takes at a time outside training; None =
                ``micro_batch_size`` or, without it, ``batch_size``.
            num_workers: number of loader processes of each process, >= 0; 0 = load in the main process. None = its
                share of the cores, at most 8.
            views: films of a study that are used: ``all``, or ``frontal`` only (all, if the study has no frontal film).
            augment: augment training films at random (without flips).
            films: films that evaluation shows: each study's ``own``, those of another patient's study (``shuffled``,
                see :mod:`ammrg.partners`), ``noise``, or its own flipped left to right (``mirrored``). Training always
                shows a study's own films as they are.
            predict_split: split that ``predict`` reads, whole and in order, without augmentation: ``train``, ``val``
                or ``test``.
            test_splits: splits that ``test`` reads, whole and in order, with one dataloader for each.
            labelled_only: leave studies without any label out of training.
            folds: number of folds that the training patients are divided into, for ``left_out_fold``.
            left_out_fold: number, from 0, of a fold whose patients are left out of training; ``predict`` on the
                training split then reads only these (cross-fitting, docs/stage2.md). None = nobody is left out.
            repeat_threshold: share, in [0, 1], of training studies; studies with a positive finding that is rarer are
                shown more often, by the square root of threshold / share (repeat-factor sampling). 0 = every study once
                an epoch.
            bucket_by_length: put studies with reports of similar length into one training batch, which reduces padding.
            streamed: fetch shards one row group at a time and shuffle within a window, instead of memory-mapping all
                and shuffling fully; None = stream if the folder is remote or has no space for its memory map.
            seed: seed of order and augmentation in training; None = the run's ``seed_everything``.
            loader_timeout: seconds, at least 1, after which a batch that no worker has delivered ends the run.
        """
        super().__init__()
        self.save_hyperparameters(logger=False)
        check_settings(self.hparams)
        self.prepared = PreparedFolder(folder)
        self.image_size, self.batch_size, self.num_workers = image_size, batch_size, num_workers
        self.micro_batch_size = micro_batch_size
        self.eval_batch_size = eval_batch_size or micro_batch_size or batch_size
        self.frontal_only = views == "frontal"
        self.augment, self.films, self.predict_split = augment, films, predict_split
        self.test_splits = tuple(test_splits)
        self.labelled_only, self.seed = labelled_only, seed
        self.partnered: set[str] = set()
        """Splits whose batches carry the partners of their studies."""
        self.training_studies = TrainingStudies(self.prepared, labelled_only, self.fold)
        self.training_place = TrainingPlace()
        self._rows: dict[str, Rows] = {}

    @property
    def forced(self) -> bool:
        """Whether training resumes even from a checkpoint with other batches (``--force-resume``)."""
        return self.training_place.forced

    @forced.setter
    def forced(self, forced: bool) -> None:
        self.training_place.forced = forced

    @property
    def card(self) -> dict[str, Any]:
        """The card of the prepared folder.

        Raises:
            DataError: the folder is not prepared.
        """
        return self.prepared.card

    @property
    def is_streamed(self) -> bool:
        """Whether shards are fetched one row group at a time."""
        chosen = self.hparams["streamed"]
        return not self.prepared.fits() if chosen is None else bool(chosen)

    @property
    def process(self) -> tuple[int, int]:
        """(rank, world size) of this process; (0, 1) without a trainer."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    @property
    def training_shares(self) -> tuple[int, int]:
        """(studies a process takes at a time, batches it takes in an optimizer step).

        Their product times the number of processes is ``batch_size``.

        Raises:
            SettingsError: ``batch_size`` cannot be divided so.
        """
        world = self.process[1]
        share, left = divmod(self.batch_size, world)
        if left:
            raise SettingsError(
                f"data.batch_size ({self.batch_size}) is the number of studies of an optimizer step over all processes "
                f"and must be divisible by their number ({world}); set a multiple of it, or another number of devices"
            )
        size = min(self.micro_batch_size or share, share)
        if share % size:
            raise SettingsError(
                f"data.batch_size ({self.batch_size}) shared by {world} processes is {share} studies each, which must "
                f"be divisible by data.micro_batch_size ({self.micro_batch_size})"
            )
        return size, share // size

    @property
    def workers(self) -> int:
        """Number of loader processes of this process."""
        if self.num_workers is not None:
            return self.num_workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        beside = self.trainer.num_devices if self.trainer is not None else 1
        return max(1, min(MOST_WORKERS, cores // max(1, beside)))

    def prepare_data(self) -> None:
        """Check the folder and, unless it is streamed, memory-map its splits.

        Lightning calls this in one process of each machine; the others find the maps ready.
        """
        for split in self.card["counts"]:
            self.rows(split)

    def setup(self, stage: str | None = None) -> None:
        """Check in every process that the folder is prepared and contains the right data set.

        Raises:
            DataError: it is not prepared, or contains another data set.
            SettingsError: ``trainer.accumulate_grad_batches`` contradicts the batch sizes.
        """
        found = self.card["dataset"]
        if self.dataset not in (None, found):
            raise DataError(
                f"data.folder: {self.prepared.location} contains {found}, but {type(self).__name__} reads "
                f"{self.dataset}; name a folder of {self.dataset}, or the data module of {found}"
            )
        if stage == "fit" and self.trainer is not None:
            _, gathered = self.training_shares
            given = self.trainer.accumulate_grad_batches
            if given not in (1, gathered):
                raise SettingsError(
                    f"trainer.accumulate_grad_batches ({given}) follows from the data settings: leave it unset, and "
                    "set data.batch_size (studies of an optimizer step) and data.micro_batch_size (studies that a "
                    "process takes at a time)"
                )
            self.trainer.accumulate_grad_batches = gathered

    def rows(self, split: str) -> Rows:
        """All rows of a split, memory-mapped, or fetched as they are needed."""
        if split not in self._rows:
            if self.is_streamed:
                lanes = lanes_read(self.process[1] * max(1, self.workers))
                self._rows[split] = self.prepared.streamed(split, cached_groups=lanes * GROUPS_IN_BUFFER)
            else:
                self._rows[split] = self.prepared.mapped(split)
        return self._rows[split]

    def ids(self, split: str) -> tuple[list[str], list[str]]:
        """Study ids and subject ids of a whole split, in order."""
        index = self.prepared.index(split)
        return list(index.study_ids), list(index.subject_ids)

    def texts(self, split: str) -> list[str]:
        """Target texts of a whole split, in order."""
        return list(self.prepared.index(split).reports)

    @property
    def fold(self) -> tuple[int, int] | None:
        """(left-out fold, number of folds); None if nobody is left out."""
        left_out = self.hparams["left_out_fold"]
        return None if left_out is None else (left_out, self.hparams["folds"])

    @property
    def left_out(self) -> dict[str, int]:
        """Number of studies left out of training, by reason; filled when the training loader is made."""
        return self.training_studies.left_out

    def training_labels(self) -> NDArray[np.float32]:
        """Labels of the training studies: ``[m 14]``, 1, 0, -1, NaN."""
        return self.training_studies.labels()

    def training_patients(self) -> set[str]:
        """Subject ids of the train split without the left-out fold; empty for data that show no real patient."""
        return self.training_studies.patients() if self.card["restricted"] else set()

    def partners(self, split: str) -> NDArray[np.int64]:
        """For each study of a split, the row of its partner; see :meth:`TrainingStudies.partners`."""
        return self.training_studies.partners(split, by_group=self.is_streamed)

    def held_out_patients(self) -> set[str]:
        """Subject ids of the validation and test splits; empty for data that show no real patient."""
        if not self.card["restricted"]:
            return set()
        return {one for split in ("val", "test") if split in self.card["counts"] for one in self.ids(split)[1]}

    def train_dataloader(self) -> StudyLoader:
        """The training studies, shuffled anew in each epoch; the last batch may be smaller."""
        seed = int(os.environ.get("PL_GLOBAL_SEED") or 0) if self.seed is None else self.seed
        transform = train_transform(self.image_size) if self.augment else eval_transform(self.image_size)
        others = self.partners("train") if "train" in self.partnered else None
        dataset = StudyDataset(
            self.rows("train"), transform, frontal_only=self.frontal_only, seed=seed, partners=others
        )
        rank, world = self.process
        size, gathered = self.training_shares
        order = self.training_studies.order(
            seed,
            repeat_threshold=self.hparams["repeat_threshold"],
            by_length=self.hparams["bucket_by_length"],
            by_group=self.is_streamed,
            # Streamed: one process should read a row group, so studies stay together by a process's batch.
            together=size if self.is_streamed else self.batch_size,
        )
        sampler = StudySampler(
            order,
            batch_size=size,
            rank=rank,
            world=world,
            whole=False,
            gathered=gathered,
            most=None if self.trainer is None else self.trainer.limit_train_batches,
            made_of={
                "data": self.card["fingerprint"],
                "seed": seed,
                "processes": world,
                "data.batch_size": self.batch_size,
                "data.micro_batch_size": size,
                "data.labelled_only": self.labelled_only,
                **({} if self.fold is None else {"data.left_out_fold": "{} of {}".format(*self.fold)}),
                "data.repeat_threshold": self.hparams["repeat_threshold"],
                "data.bucket_by_length": self.hparams["bucket_by_length"],
                "data.streamed": self.is_streamed,
            },
        )
        loader = study_loader(dataset, sampler, self.workers, self.hparams["loader_timeout"])
        self.training_place.begin(loader)
        return loader

    def state_dict(self) -> dict[str, Any]:
        """The place in the training epoch, for checkpoints."""
        return self.training_place.state()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume training from a saved place, whether or not the loader exists already."""
        if self.trainer is not None and self.trainer.state.fn == "fit":
            self.training_place.restore(state_dict)

    def val_dataloader(self) -> StudyLoader:
        """The whole validation split, in order."""
        return self.evaluation_loader("val")

    def test_dataloader(self) -> list[StudyLoader]:
        """One loader for each of ``test_splits``, whole and in order."""
        return [self.evaluation_loader(split) for split in self.test_splits]

    def predict_dataloader(self) -> StudyLoader:
        """The whole ``predict_split``, in order; only the left-out fold of the train split, if there is one."""
        rows = (
            np.flatnonzero(self.training_studies.in_left_out_fold())
            if self.predict_split == "train" and self.fold
            else None
        )
        return self.evaluation_loader(self.predict_split, rows=rows)

    def evaluation_loader(self, split: str, alone: bool = False, rows: NDArray[np.int64] | None = None) -> StudyLoader:
        """The studies of a split in order, without augmentation, with the films chosen by ``films``.

        Args:
            split: ``train``, ``val`` or ``test``.
            alone: this process reads all studies instead of its share.
            rows: rows of the split to read; None = all.
        """
        transform = eval_transform(self.image_size)
        others = self.partners(split) if split in self.partnered or self.films == "shuffled" else None
        dataset = StudyDataset(
            self.rows(split), transform, frontal_only=self.frontal_only, films=self.films, partners=others
        )
        rank, world = (0, 1) if alone else self.process
        order = in_order(np.arange(len(dataset)) if rows is None else rows)
        sampler = StudySampler(order, batch_size=self.eval_batch_size, rank=rank, world=world)
        return study_loader(dataset, sampler, self.workers, self.hparams["loader_timeout"])

    def typical_films(self, split: str, most: int, alone: bool = False) -> torch.Tensor:
        """One film of each of several evenly spaced studies of a split, without augmentation: uint8 ``[m 1 h w]``.

        Of the train split only the training studies are used. The films are read in this process.

        Args:
            split: ``train``, ``val`` or ``test``.
            most: most studies, over all processes.
            alone: read all of them here instead of this process's share.
        """
        rows = self.training_studies.rows() if split == "train" else np.arange(len(self.rows(split)))
        rows = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64)]
        rank, world = (0, 1) if alone else self.process
        dataset = StudyDataset(self.rows(split), eval_transform(self.image_size), frontal_only=self.frontal_only)
        shown = [(row, dataset.example((row, 0, 0)).films) for row in rows[rank::world].tolist()]
        films = [views[row % len(views)] for row, views in shown]
        side = self.image_size
        return torch.from_numpy(np.stack(films)[:, None]) if films else torch.zeros(0, 1, side, side, dtype=torch.uint8)
