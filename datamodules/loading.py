"""The batches of an epoch for one process, and a data loader that can resume within an epoch."""

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
"""Row, epoch, and number of its repetition in that epoch.

They seed the row's augmentation, so it does not depend on the process or worker.
"""


class StudySampler(DistributedSampler[Any]):
    """Yields the batches that one process takes in each epoch, as lists of keys.

    It is a DistributedSampler so that Lightning keeps it and sets its epoch; if the epoch is not set, each pass is the
    next epoch. It can start in the middle of an epoch.
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
        """Cut the epoch into the batches of this process.

        Args:
            order: epoch -> ``[m 2]`` (row, copy); m is the same for every epoch.
            batch_size: number of studies that a process takes at a time.
            rank: number of this process, from 0.
            world: number of processes.
            whole: whether every study must be used; otherwise a few are dropped if they cannot be shared evenly.
            gathered: number of batches of an optimizer step.
            most: most batches that are used of an epoch: a number or, as a float, a share (the trainer's
                ``limit_train_batches``); None = all.
            made_of: the facts that the batches of an epoch depend on, by name; saved with a place in an epoch.
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
        """Number of batches that the next pass skips, because an interrupted run has used them."""

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass, which starts at its first batch unless :meth:`resume` named this epoch."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def resume(self, epoch: int, batches: int) -> None:
        """Start the next pass of ``epoch`` after so many batches; after the last batch, start the next epoch."""
        self.epoch, self.start = (epoch + 1, 0) if batches >= len(self) else (epoch, batches)

    def step_end(self, batch: int) -> int:
        """Number of batches of an epoch up to the end of the optimizer step that ``batch`` (from 0) belongs to.

        No step spans two epochs, so the last step of an epoch may have fewer batches.
        """
        return min((batch // self.gathered + 1) * self.gathered, max(self.used, batch + 1))

    def __len__(self) -> int:
        """Number of batches of a whole epoch."""
        return len(self.slices)

    def __iter__(self) -> Iterator[list[Key]]:
        epoch, start = self.epoch, self.start
        self.epoch, self.start = epoch + 1, 0
        order = self.order(epoch)
        for first, stop in self.slices[start:]:
            yield [(int(row), epoch, int(copy)) for row, copy in order[first:stop]]


class StudyLoader(DataLoader[Any]):
    """A DataLoader over a :class:`StudySampler` (given with ``batch_size=None``) whose state is its place in an epoch.

    The place counts the batches that were yielded, not those that workers have fetched ahead.
    """

    place = (0, 0)
    """The epoch, and the number of its batches yielded so far."""

    def __iter__(self) -> Iterator[StudyBatch]:  # type: ignore[override]
        # Runs at the first batch: Lightning makes the iterator before it sets the epoch.
        epoch, done = self.sampler.epoch, self.sampler.start  # type: ignore[attr-defined]
        batches = super().__iter__()
        while step := self.step(batches, epoch, done):
            whole = [batch.without_films() for batch in step] if self.sampler.gathered > 1 else []  # type: ignore[attr-defined]
            for batch in step:
                done += 1
                self.place = (epoch, done)
                yield batch._replace(step=whole) if whole else batch

    def step(self, batches: Iterator[StudyBatch], epoch: int, done: int) -> list[StudyBatch]:
        """The batches of the next optimizer step, after ``done`` batches of the epoch; each must know the others."""
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
        """A clear error for torch's two messages about a lost worker; any other error is returned as it is."""
        message = str(error)
        where = f"batch {done} of epoch {epoch}"
        if "timed out" in message:
            return DataError(
                f"no loader worker delivered {where} within data.loader_timeout ({self.timeout:g} s): the disk of "
                "data.folder is stalled, or a worker hangs. Check that it can be read; the same command resumes"
            )
        if "exited unexpectedly" in message:
            return DataError(
                f"a loader worker died before {where} ({message}). It was killed from outside, most often for lack of "
                "memory (see the kernel's log): lower data.num_workers; the same command resumes"
            )
        return error

    def state_dict(self) -> dict[str, Any]:
        """The place in the epoch, and the facts that the batches depend on: plain numbers and texts."""
        return {"epoch": self.place[0], "batches": self.place[1], "made_of": self.sampler.made_of}  # type: ignore[attr-defined]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the next pass from a saved place.

        Raises:
            CheckpointError: the place belongs to other batches, or is outside an epoch.
        """
        kept, found = state.get("made_of", {}), self.sampler.made_of  # type: ignore[attr-defined]
        changed = [
            f"{name}: {kept.get(name, 'not saved')} (checkpoint) -> {found.get(name, 'not set')} (now)"
            for name in {**kept, **found}
            if kept.get(name) != found.get(name)
        ]
        if changed:
            raise CheckpointError(
                "the checkpoint was saved in the middle of an epoch with other batches, so studies would be skipped or "
                "repeated:\n  " + "\n  ".join(changed) + "\nResume with the settings that it was saved with."
            )
        epoch, batches = state.get("epoch", -1), state.get("batches", -1)
        if epoch < 0 or not 0 <= batches <= len(self):
            raise CheckpointError(
                f"the checkpoint was saved at batch {batches} of epoch {epoch}, but an epoch has {len(self)} batches; "
                "resume from another checkpoint"
            )
        self.place = (epoch, batches)
        self.sampler.resume(epoch, batches)  # type: ignore[attr-defined]


def in_order(rows: NDArray[np.int64]) -> Callable[[int], NDArray[np.int64]]:
    """An order that is the same in every epoch: these rows, once each, as given."""
    keys = np.stack([rows, np.zeros(len(rows), np.int64)], axis=1)
    return lambda epoch: keys


def start_loader_worker(worker: int) -> None:
    """Limit OpenCV to one thread, since each worker has one core."""
    cv2.setNumThreads(0)


def study_loader(dataset: Dataset[list[Example]], sampler: StudySampler, workers: int, timeout: int) -> StudyLoader:
    """A data loader for the sampler's batches.

    Args:
        dataset: the studies of a split.
        sampler: the sampler of its batches.
        workers: number of loader processes; 0 loads in this process.
        timeout: seconds to wait for a worker's batch.
    """
    return StudyLoader(
        dataset,
        batch_size=None,  # the sampler's items are whole batches
        sampler=sampler,
        collate_fn=collate,
        num_workers=workers,
        # All batches of a step are fetched together.
        prefetch_factor=max(2, 1 + math.ceil(sampler.gathered / workers)) if workers else None,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=start_loader_worker,
        timeout=timeout if workers else 0,
    )
