"""Batches of an epoch for one process, and a loader that knows how far it got."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from ammrg.errors import CheckpointError, DataError
from ammrg.types import StudyBatch
from datamodules.collate import Example, collate
from datamodules.ordering import shares

Key = tuple[int, int, int]
"""A row, the epoch it is drawn in, and which of its repetitions in that epoch it is: what its augmentation is drawn
from, whatever process or worker draws it."""


class StudySampler(DistributedSampler[Any]):
    """The batches that one process takes of each epoch, as lists of keys.

    A DistributedSampler, so that Lightning leaves it as it is, and tells it the epoch; without being told, each pass is
    the next epoch. It can begin an epoch in its middle.
    """

    def __init__(
        self,
        order: Callable[[int], NDArray[np.int64]],
        *,
        batch_size: int,
        rank: int = 0,
        world: int = 1,
        whole: bool = True,
        gathered: int = 1,
        most: int | float | None = None,
        made_of: Mapping[str, str | int | float | bool] | None = None,
    ) -> None:
        """
        Args:
            order: epoch -> ``[m 2]`` (row, copy); m is the same for every epoch.
            batch_size: studies a process takes at a time.
            rank, world: the process, and how many there are.
            whole: no study may be left out; training may lose a few where they cannot be shared evenly.
            gathered: batches of an optimizer step.
            most: batches that are used of an epoch, at most: a number or, as a float, a share (the trainer's
                ``limit_train_batches``); None uses all.
            made_of: what the batches of an epoch depend on, by name; kept with a place in an epoch.
        """
        self.order, self.made_of = order, dict(made_of or {})
        count = len(order(0))
        super().__init__(range(count), num_replicas=world, rank=rank)
        self.slices = list(shares(count, batch_size, rank, world, whole=whole))
        self.gathered = gathered
        self.used = len(self.slices)
        if most is not None:
            self.used = min(self.used, int(self.used * most) if isinstance(most, float) else most)
        self.start = 0
        """Batches of the next pass to be left out: those an interrupted run has had."""

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next pass; it begins at its start, unless :meth:`resume` named this epoch."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def resume(self, epoch: int, batches: int) -> None:
        """Begin the next pass of ``epoch`` after so many batches; after the last one, begin the next epoch."""
        self.epoch, self.start = (epoch + 1, 0) if batches >= len(self) else (epoch, batches)

    def step_end(self, batch: int) -> int:
        """Batches of an epoch up to the end of the optimizer step that ``batch`` (from 0) belongs to: steps begin anew
        with each epoch, whose last may have fewer."""
        return min((batch // self.gathered + 1) * self.gathered, max(self.used, batch + 1))

    def __len__(self) -> int:
        """Batches of a whole epoch."""
        return len(self.slices)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, start = self.epoch, self.start
        self.epoch, self.start = epoch + 1, 0
        order = self.order(epoch)
        for first, stop in self.slices[start:]:
            yield [(int(row), epoch, int(copy)) for row, copy in order[first:stop]]


class StudyLoader(DataLoader[Any]):
    """A DataLoader over a :class:`StudySampler` (given with ``batch_size=None``) whose state is one place in one epoch.

    What has been handed out counts, not what workers have fetched ahead. Lightning keeps the state in checkpoints.
    """

    place = (0, 0)
    """Epoch, and its batches handed out so far."""

    def __iter__(self) -> Iterator[StudyBatch]:  # type: ignore[override]
        # Begins with the first batch: Lightning makes the iterator before it names the epoch.
        epoch, done = self.sampler.epoch, self.sampler.start  # type: ignore[attr-defined]
        batches = super().__iter__()
        while step := self.step(batches, epoch, done):
            told = [batch.without_films() for batch in step] if self.sampler.gathered > 1 else []  # type: ignore[attr-defined]
            for batch in step:
                done += 1
                self.place = (epoch, done)
                yield batch._replace(step=told) if told else batch

    def step(self, batches: Iterator[StudyBatch], epoch: int, done: int) -> list[StudyBatch]:
        """The batches of an optimizer step after so many of the epoch: each needs to know the others."""
        found: list[StudyBatch] = []
        end = self.sampler.step_end(done)  # type: ignore[attr-defined]
        while done + len(found) < end:
            try:
                found.append(next(batches))
            except StopIteration:
                break
            except RuntimeError as error:
                raise self.named(error, epoch, done + len(found)) from error
        return found

    def named(self, error: RuntimeError, epoch: int, done: int) -> Exception:
        """torch's two ways to say that a worker is gone, in words that help; anything else as it is."""
        told = str(error)
        where = f"batch {done} of epoch {epoch}"
        if "timed out" in told:
            return DataError(
                f"no loader worker brought {where} within data.loader_timeout ({self.timeout:g} s): the disk under "
                "data.folder stalls, or a worker hangs. See whether it can be read; the same command goes on"
            )
        if "exited unexpectedly" in told:
            return DataError(
                f"a loader worker died before {where} ({told}). It was killed from outside, most often for want of "
                "memory (the kernel's log says so): lower data.num_workers; the same command goes on"
            )
        return error

    def state_dict(self) -> dict[str, Any]:
        """The place, and what the batches depend on: plain numbers and texts."""
        return {"epoch": self.place[0], "batches": self.place[1], "made_of": self.sampler.made_of}  # type: ignore[attr-defined]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next pass goes on where the state was taken.

        Raises:
            CheckpointError: it was taken among other batches, or is no place in an epoch.
        """
        kept, found = state.get("made_of", {}), self.sampler.made_of  # type: ignore[attr-defined]
        changed = [
            f"{name}: {kept.get(name, 'not kept')} (kept) -> {found.get(name, 'not set')} (now)"
            for name in {**kept, **found}
            if kept.get(name) != found.get(name)
        ]
        if changed:
            raise CheckpointError(
                "the checkpoint stands in the middle of an epoch of other batches, so that studies would be lost or "
                "doubled:\n  " + "\n  ".join(changed) + "\nGo on with the settings that it was made with."
            )
        epoch, batches = state.get("epoch", -1), state.get("batches", -1)
        if epoch < 0 or not 0 <= batches <= len(self):
            raise CheckpointError(
                f"the checkpoint stands at batch {batches} of epoch {epoch}; an epoch has {len(self)}"
            )
        self.place = (epoch, batches)
        self.sampler.resume(epoch, batches)  # type: ignore[attr-defined]


def in_order(rows: NDArray[np.int64]) -> Callable[[int], NDArray[np.int64]]:
    """Every epoch the same: these rows, once, as they stand."""
    keys = np.stack([rows, np.zeros(len(rows), np.int64)], axis=1)
    return lambda epoch: keys


def start_loader_worker(worker: int) -> None:
    """Keep OpenCV to one thread: a worker is one process on one core."""
    cv2.setNumThreads(0)


def study_loader(dataset: Dataset[list[Example]], sampler: StudySampler, workers: int, timeout: int) -> StudyLoader:
    """A loader of the sampler's batches.

    Args:
        dataset: of a split.
        sampler: of its batches.
        workers: loader processes; 0 loads in this one.
        timeout: seconds to wait for a batch of a worker.
    """
    return StudyLoader(
        dataset,
        batch_size=None,  # the sampler's items are whole batches
        sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        # All batches of a step are handed out together.
        prefetch_factor=max(2, 1 + math.ceil(sampler.gathered / workers)) if workers else None,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=start_loader_worker,
        timeout=timeout if workers else 0,
    )
