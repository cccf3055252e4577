"""The base of all data modules: a prepared folder -> batches of studies."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import cv2
import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from numpy.typing import NDArray
from torch.utils.data import Dataset

from ammrg.errors import CheckpointError, DataError, ReadError, SettingsError
from ammrg.folds import fold_of
from ammrg.imaging.reading import read_film
from ammrg.imaging.transforms import FilmTransform, eval_transform, train_transform
from ammrg.partners import SEED, partners
from ammrg.types import Box
from datamodules.collate import Example, collate
from datamodules.loading import Key, StudyLoader, StudySampler, in_order
from datamodules.ordering import GROUPS_IN_BUFFER, epoch_keys, lanes_read, repeat_factors
from datamodules.prepared import PreparedFolder, Rows

SMALLEST_IMAGE, LARGEST_IMAGE = 16, 2048

Films = Literal["own", "shuffled", "noise"]
MOST_WORKERS = 8
"""More loader processes than this bring nothing at the sizes films are prepared in."""


class StudyDataset(Dataset[list[Example]]):
    """Rows of a prepared split as examples; an item is a batch of studies."""

    def __init__(
        self,
        rows: Rows,
        transform: FilmTransform,
        *,
        frontal_only: bool = False,
        films: Films = "own",
        seed: int = 0,
        partners: NDArray[np.int64] | None = None,
    ) -> None:
        """
        Args:
            rows: of a prepared split.
            transform: what happens to each film.
            frontal_only: leave out other projections, except where a study has no frontal film.
            films: ``own``; ``shuffled`` gives each study the films of its partner; ``noise`` gives it none that mean
                anything.
            seed: of the augmentation.
            partners: ``[n]``, of each row another patient's; an example then brings its partner along, unless it shows
                the partner's films already.
        """
        self.rows, self.transform, self.frontal_only, self.films, self.seed = rows, transform, frontal_only, films, seed
        self.partners = partners

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, keys: Sequence[Key] | int) -> list[Example]:
        """The studies of a batch; of a single row where a sampler of Lightning's asks for one (``overfit_batches``)."""
        return [self.example(key) for key in ([(keys, 0, 0)] if isinstance(keys, int) else keys)]

    def example(self, key: Key) -> Example:
        """One study, with its films or, where they are shuffled, its partner's."""
        if self.partners is None:
            return self._example(key, key[0])
        partner = int(self.partners[key[0]])
        if self.films == "shuffled":
            return self._example(key, partner)
        return self._example(key, key[0])._replace(partner=self._example((partner, *key[1:]), partner))

    def _example(self, key: Key, films_of: int) -> Example:
        index, epoch, copy = key
        row = self.rows[index]
        shown = row if films_of == index else self.rows[films_of]
        kept = self.views(shown["projections"])
        known = [Box(**box) for box in shown["boxes"]] if self.films != "noise" else []
        films: list[NDArray[np.uint8]] = []
        boxes: list[Box] = []
        for place, view in enumerate(kept):
            if self.films == "noise":
                draw = np.random.default_rng((SEED, index, place))
                film = draw.integers(0, 256, (self.transform.size, self.transform.size), dtype=np.uint8)
            else:
                film = self.film(shown, view)
            on_film = [box._replace(view=place) for box in known if box.view == view]
            film, on_film_now = self.transform.with_boxes(film, on_film, (self.seed, epoch, index, copy, place))
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
            indication=row["indication"] or "",
        )

    def film(self, row: Mapping[str, Any], view: int) -> NDArray[np.uint8]:
        """One stored film, decoded.

        Raises:
            DataError: it was readable when it was prepared and is not now.
        """
        try:
            return read_film(row["images"][view], at_least=self.transform.size)
        except ReadError as error:
            raise DataError(
                f"film {view + 1} of study {row['study_id']} in the prepared data is damaged ({error}); the shards "
                "were whole when they were written: copy or prepare them again"
            ) from error

    def views(self, projections: list[str]) -> list[int]:
        """Which films of a study are used."""
        frontal = [view for view, name in enumerate(projections) if name == "frontal"]
        return frontal if self.frontal_only and frontal else list(range(len(projections)))


def start_loader_worker(worker: int) -> None:
    """A worker is one process on one core: OpenCV's own threads would only get in each other's way."""
    cv2.setNumThreads(0)


class StudyDataModule(LightningDataModule):
    """Batches of studies from a prepared folder (``make data``). Training shuffles and varies films; evaluation keeps
    every study, in order, as it is."""

    dataset: str | None = None
    """What the prepared folder must hold; None takes any."""

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
        """
        Args:
            folder: prepared shards and their card, on this machine or a URL that fsspec knows (``s3://...``).
            image_size: side in pixels of the square a film is squashed to.
            batch_size: studies of an optimizer step, over all processes; each may have several films. Processes share
                it evenly, so that a run learns the same on any number of them.
            micro_batch_size: studies a process takes at a time in training, at most: what its memory holds. Where its
                share is larger, gradients are gathered over several batches. None takes the share whole.
            eval_batch_size: studies a process takes at a time elsewhere; None takes ``micro_batch_size``, or
                ``batch_size``.
            num_workers: loader processes of each process; 0 loads in the main one, None takes its share of the cores,
                at most 8.
            views: ``all`` films of a study, or ``frontal`` ones only (all, where it has no frontal).
            augment: vary training films at random (never a flip).
            films: what evaluation loaders show: each study its ``own`` films, those of another patient's study
                (``shuffled``, see :mod:`ammrg.partners`), or ``noise``. Training always shows a study its own.
            predict_split: what ``predict`` reads: ``train``, ``val`` or ``test``; complete, in order, not varied.
            test_splits: what ``test`` reads, a dataloader each, complete and in order.
            labelled_only: leave studies without any label out of training.
            folds: into how many the training patients are divided, for ``left_out_fold``.
            left_out_fold: train without the patients of this fold, from 0; ``predict`` on the training split then reads
                theirs alone (cross-fitting, docs/stage2.md). None leaves nobody out.
            repeat_threshold: show studies with a positive finding that fewer than this share of the training studies
                have more often, by the square root of threshold / share (repeat-factor sampling); 0 shows every study
                once an epoch, 1 repeats every positive finding.
            bucket_by_length: train on studies with reports of like length together, so that little is padded.
            streamed: fetch shards a row group at a time and shuffle within a window, instead of mapping them all and
                shuffling fully; None streams what lies elsewhere or does not fit beside its map.
            seed: of order and variation in training; None takes the run's ``seed_everything``.
            loader_timeout: seconds after which a batch that no worker has brought ends the run, by name.
        """
        super().__init__()
        if loader_timeout < 1:
            raise SettingsError(f"data.loader_timeout ({loader_timeout}) must be at least 1 second")
        if not SMALLEST_IMAGE <= image_size <= LARGEST_IMAGE:
            raise SettingsError(
                f"data.image_size ({image_size}) must lie between {SMALLEST_IMAGE} and {LARGEST_IMAGE} pixels"
            )
        for name, value in (
            ("batch_size", batch_size),
            ("micro_batch_size", micro_batch_size),
            ("eval_batch_size", eval_batch_size),
        ):
            if value is not None and value < 1:
                raise SettingsError(f"data.{name} ({value}) must be at least 1 study")
        if num_workers is not None and num_workers < 0:
            raise SettingsError(f"data.num_workers ({num_workers}) must be 0 or more")
        if left_out_fold is not None and not 0 <= left_out_fold < folds:
            raise SettingsError(f"data.left_out_fold ({left_out_fold}) must be one of data.folds ({folds}), from 0")
        if not 0 <= repeat_threshold <= 1:
            raise SettingsError(f"data.repeat_threshold ({repeat_threshold}) must be a share between 0 and 1")
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
        self.prepared = PreparedFolder(folder)
        self.image_size, self.batch_size, self.num_workers = image_size, batch_size, num_workers
        self.micro_batch_size = micro_batch_size
        self.eval_batch_size = eval_batch_size or micro_batch_size or batch_size
        self.frontal_only = views == "frontal"
        self.augment, self.films, self.predict_split = augment, films, predict_split
        self.test_splits = tuple(test_splits)
        self.labelled_only, self.seed = labelled_only, seed
        self.partnered: set[str] = set()
        """Splits whose batches bring their studies' partners along."""
        self.left_out: dict[str, int] = {}
        """Studies kept out of training, by reason; filled when the train loader is made."""
        self._rows: dict[str, Rows] = {}
        self._training: StudyLoader | None = None
        self._place: dict[str, Any] | None = None
        self.forced = False
        """Whether a training goes on although its checkpoint stands among other batches."""

    @property
    def card(self) -> dict[str, Any]:
        """The card of the prepared folder.

        Raises:
            DataError: the folder is not prepared.
        """
        return self.prepared.card

    @property
    def is_streamed(self) -> bool:
        """Whether shards are fetched a row group at a time."""
        chosen = self.hparams["streamed"]
        return not self.prepared.fits() if chosen is None else bool(chosen)

    @property
    def process(self) -> tuple[int, int]:
        """(rank, world size) of this process; (0, 1) without a trainer."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    @property
    def training_shares(self) -> tuple[int, int]:
        """(studies a process takes at a time, such batches an optimizer step): together with the number of processes
        they make ``batch_size``.

        Raises:
            SettingsError: they cannot.
        """
        world = self.process[1]
        share, left = divmod(self.batch_size, world)
        if left:
            raise SettingsError(
                f"data.batch_size ({self.batch_size}) is the number of studies of an optimizer step over all processes "
                f"and must be divisible by their number ({world}); take a multiple of it, or other devices"
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
        """Loader processes of this process."""
        if self.num_workers is not None:
            return self.num_workers
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        beside = self.trainer.num_devices if self.trainer is not None else 1
        return max(1, min(MOST_WORKERS, cores // max(1, beside)))

    def prepare_data(self) -> None:
        """On one process of a machine: check the folder and, unless it is streamed, map its splits once, so that other
        processes find them mapped."""
        for split in self.card["counts"]:
            self.rows(split)

    def setup(self, stage: str | None = None) -> None:
        """On every process: check that the folder is prepared, from the data set that is meant.

        Raises:
            DataError: it is not.
        """
        found = self.card["dataset"]
        if self.dataset not in (None, found):
            raise DataError(
                f"data.folder: {self.prepared.location} holds {found}, but {type(self).__name__} reads {self.dataset}; "
                "name its folder, or the data module of that data set"
            )
        if stage == "fit" and self.trainer is not None:
            _, gathered = self.training_shares
            asked = self.trainer.accumulate_grad_batches
            if asked not in (1, gathered):
                raise SettingsError(
                    f"trainer.accumulate_grad_batches ({asked}) is set by the data: give data.batch_size, the studies "
                    "of an optimizer step, and data.micro_batch_size, what a process takes at a time"
                )
            self.trainer.accumulate_grad_batches = gathered

    def rows(self, split: str) -> Rows:
        """All rows of a split, mapped or fetched as they are asked for."""
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
        """(left-out fold, number of folds); None where nobody is left out."""
        left_out = self.hparams["left_out_fold"]
        return None if left_out is None else (left_out, self.hparams["folds"])

    def in_left_out_fold(self) -> NDArray[np.bool_]:
        """Of each study of the train split, whether its patient is left out."""
        subjects = self.prepared.index("train").subject_ids
        if self.fold is None:
            return np.zeros(len(subjects), bool)
        left_out, folds = self.fold
        return np.asarray([fold_of(subject, folds) == left_out for subject in subjects], bool)

    def training_rows(self) -> NDArray[np.int64]:
        """Places in the train split of the studies to train on: not those of the left-out fold, nor those that have no
        report or, with ``labelled_only``, no label.

        Raises:
            DataError: nothing is left.
        """
        index = self.prepared.index("train")
        silent = np.asarray([not report.strip() for report in index.reports], bool)
        unlabelled = np.isnan(index.labels).all(axis=1) & self.labelled_only
        other_fold = self.in_left_out_fold()
        kept = np.flatnonzero(~(silent | unlabelled | other_fold))
        self.left_out = {"without_report": int(silent.sum()), "without_label": int(unlabelled.sum())}
        if self.fold is not None:
            self.left_out["of_left_out_fold"] = int(other_fold.sum())
        if not len(kept):
            raise DataError(
                f"{self.prepared.location}: no study of the train split is left to train on: {self.left_out}"
            )
        if len(kept) < len(silent):
            rank_zero_info(f"training on {len(kept)} of {len(silent)} studies; left out: {self.left_out}")
        return kept

    def training_labels(self) -> NDArray[np.float32]:
        """Labels of the studies to train on: ``[m 14]``, 1, 0, -1, NaN."""
        return self.prepared.index("train").labels[self.training_rows()]

    def training_patients(self) -> set[str]:
        """Subject ids of the train split, but those of the left-out fold; nobody, where films show no patient."""
        if not self.card["restricted"]:
            return set()
        subjects = self.prepared.index("train").subject_ids
        return {one for one, left_out in zip(subjects, self.in_left_out_fold(), strict=True) if not left_out}

    def held_out_patients(self) -> set[str]:
        """Subject ids of the validation and test splits that there are; nobody, where films show no patient."""
        if not self.card["restricted"]:
            return set()
        return {one for split in ("val", "test") if split in self.card["counts"] for one in self.ids(split)[1]}

    def training_order(self, seed: int) -> Callable[[int], NDArray[np.int64]]:
        """Epoch -> the keys of its studies, in order: ``[m 2]`` (row, copy)."""
        kept, index = self.training_rows(), self.prepared.index("train")
        factors = repeat_factors(index.labels[kept], self.hparams["repeat_threshold"])
        groups = index.groups if self.is_streamed else None
        bucket = self.hparams["bucket_by_length"]
        lengths = np.asarray([len(report) for report in index.reports], np.int64) if bucket else None
        # Read a group at a time, studies that are read together go to one process: the order is then of their number.
        together = self.training_shares[0] if self.is_streamed else self.batch_size
        return lambda epoch: epoch_keys(kept, factors, groups, together, seed, epoch, lengths)

    def partners(self, split: str) -> NDArray[np.int64]:
        """Of each study of a split, the place of its partner, another patient's; see :mod:`ammrg.partners`. In training
        only studies that are trained on are partners, and where rows are fetched a group at a time one of the same
        group, which is fetched already; a study that is not trained on has itself.

        Raises:
            DataError: they are all of one patient.
        """
        index = self.prepared.index(split)
        what = f"{self.prepared.location}: the studies of the {split} split"
        if split != "train":
            return partners(index.subject_ids, what=what)
        kept = self.training_rows()
        groups = index.groups[kept] if self.is_streamed else None
        found = np.arange(len(index.subject_ids))
        found[kept] = kept[partners([index.subject_ids[row] for row in kept], groups=groups, what=what)]
        return found

    def train_dataloader(self) -> StudyLoader:
        """Shuffled anew each epoch; the last batch may be smaller."""
        seed = int(os.environ.get("PL_GLOBAL_SEED") or 0) if self.seed is None else self.seed
        transform = train_transform(self.image_size) if self.augment else eval_transform(self.image_size)
        others = self.partners("train") if "train" in self.partnered else None
        dataset = StudyDataset(
            self.rows("train"), transform, frontal_only=self.frontal_only, seed=seed, partners=others
        )
        rank, world = self.process
        size, gathered = self.training_shares
        self._training = self.loader(
            dataset,
            StudySampler(
                self.training_order(seed),
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
            ),
        )
        self._go_on()
        return self._training

    def state_dict(self) -> dict[str, Any]:
        """The place in training. Lightning would keep the loader's itself, but asks for its length before it gives the
        state back, and then never does (https://github.com/Lightning-AI/pytorch-lightning/issues/20550)."""
        return {"place": self._training.state_dict()} if self._training is not None else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """A training goes on where the state was taken, whether its loader is made already or not."""
        if self.trainer is not None and self.trainer.state.fn == "fit":
            self._place = state_dict.get("place")
            self._go_on()

    def _go_on(self) -> None:
        if self._training is None or self._place is None:
            return
        try:
            self._training.load_state_dict(self._place)
        except CheckpointError as error:
            if not self.forced:
                raise
            rank_zero_only(print)(f"warning: --force-resume: the epoch's order begins anew; {error}")
        self._place = None

    def val_dataloader(self) -> StudyLoader:
        """The whole validation split, in order."""
        return self.evaluation_loader("val")

    def test_dataloader(self) -> list[StudyLoader]:
        """The whole of each of ``test_splits``, in order."""
        return [self.evaluation_loader(split) for split in self.test_splits]

    def predict_dataloader(self) -> StudyLoader:
        """The whole of ``predict_split``, in order; of the train split the left-out fold, where there is one."""
        rows = np.flatnonzero(self.in_left_out_fold()) if self.predict_split == "train" and self.fold else None
        return self.evaluation_loader(self.predict_split, rows=rows)

    def evaluation_loader(self, split: str, alone: bool = False, rows: NDArray[np.int64] | None = None) -> StudyLoader:
        """Every study of a split, or those at ``rows``, in order, not varied, with the films that ``films`` names; each
        on one process, or, for what one process does ``alone``, all on this one."""
        transform = eval_transform(self.image_size)
        others = self.partners(split) if split in self.partnered or self.films == "shuffled" else None
        dataset = StudyDataset(
            self.rows(split), transform, frontal_only=self.frontal_only, films=self.films, partners=others
        )
        rank, world = (0, 1) if alone else self.process
        order = in_order(np.arange(len(dataset)) if rows is None else rows)
        sampler = StudySampler(order, batch_size=self.eval_batch_size, rank=rank, world=world)
        return self.loader(dataset, sampler)

    def typical_films(self, split: str, most: int, alone: bool = False) -> torch.Tensor:
        """Films of evenly spaced studies of a split (of the train split, of those to train on), as they are: uint8
        ``[m 1 h w]``, one film of each study, read in this process.

        Args:
            split: ``train``, ``val`` or ``test``.
            most: studies, over all processes.
            alone: all of them here, not this process's share.
        """
        rows = self.training_rows() if split == "train" else np.arange(len(self.rows(split)))
        rows = rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64)]
        rank, world = (0, 1) if alone else self.process
        dataset = StudyDataset(self.rows(split), eval_transform(self.image_size), frontal_only=self.frontal_only)
        shown = [(row, dataset.example((row, 0, 0)).films) for row in rows[rank::world].tolist()]
        films = [views[row % len(views)] for row, views in shown]
        side = self.image_size
        return torch.from_numpy(np.stack(films)[:, None]) if films else torch.zeros(0, 1, side, side, dtype=torch.uint8)

    def loader(self, dataset: StudyDataset, sampler: StudySampler) -> StudyLoader:
        """A loader of the sampler's batches."""
        return StudyLoader(
            dataset,
            batch_size=None,  # the sampler's items are whole batches
            sampler=sampler,
            collate_fn=collate,
            num_workers=self.workers,
            # All batches of a step are handed out together.
            prefetch_factor=max(2, 1 + math.ceil(sampler.gathered / self.workers)) if self.workers else None,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=start_loader_worker,
            timeout=self.hparams["loader_timeout"] if self.workers else 0,
        )
