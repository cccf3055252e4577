"""Finds the largest batch that fits when a GPU runs out of memory."""

from __future__ import annotations

import gc
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from ammrg.types import StudyBatch


class GpuMemory(Callback):
    """Adds to an out-of-memory error of a training step the batch size that fits.

    To find it, the callback halves the batch until a step fits.
    """

    def __init__(self) -> None:
        self.batch: StudyBatch | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Keep the batch until its step has ended."""
        self.batch = batch

    def on_train_batch_end(self, *_: Any) -> None:
        """Release the batch, since it fitted."""
        self.batch = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Replace the message of an out-of-memory error by one that names the batch size that fits."""
        if not isinstance(exception, torch.OutOfMemoryError) or self.batch is None:
            return
        studies, films = len(self.batch.study_ids), len(self.batch.images)
        if trainer.world_size > 1:  # a step of this process alone would wait for the others
            exception.args = (
                f"out of memory at step {trainer.global_step} with {studies} studies ({films} films) in a process; "
                "lower data.micro_batch_size (a run with one process reports the largest that fits)",
            )
            return
        fits = self.largest(pl_module, self.batch)
        cure = (
            f"{fits} of its {studies} studies fit: set data.micro_batch_size={fits}; data.batch_size, the studies of "
            "an optimizer step, stays as it is"
            if fits
            else "not even one study fits: use smaller films (data.image_size) or a smaller model"
        )
        exception.args = (
            f"out of memory at step {trainer.global_step} with {studies} studies ({films} films); {cure}",
        )

    def largest(self, pl_module: LightningModule, batch: StudyBatch) -> int:
        """Number of studies of the batch that fit in a training step; 0 if not even one does."""
        count = len(batch.study_ids) // 2
        pl_module.log = lambda *_, **__: None  # type: ignore[method-assign]  # trial steps are not logged
        while count:
            pl_module.zero_grad(set_to_none=True)
            gc.collect()
            torch.cuda.empty_cache()
            try:
                part = batch.take(range(count))
                pl_module.training_step(part._replace(step=[part]), 0).backward()
            except torch.OutOfMemoryError:
                count //= 2
            else:
                return count
        return 0
