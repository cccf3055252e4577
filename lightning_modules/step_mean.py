"""Losses as means over a whole optimizer step, over however many batches and processes it is spread."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lightning import LightningModule
from torch import Tensor

from ammrg.errors import SettingsError
from ammrg.gathering import sum_over_processes
from ammrg.types import StudyBatch


class StepMeans:
    """The means that a training step's loss is made of, each over terms of its own (tokens, labels, studies, ...).

    The mean of batches' means is not the mean over their terms where their numbers differ. So a batch brings its *sum*,
    which is divided by the number of terms of the whole step: of all batches of all processes. That number depends on
    texts, labels and ids alone, and every batch knows those of the others (:attr:`StudyBatch.step`), so it is known
    before the first is seen. Trainer and DDP divide the gradient by the number of batches and of processes; that is
    taken back here. What follows (unscaling, clipping, the optimizer) sees the gradient of the mean.

    Args:
        module: whose losses they are.
    """

    def __init__(self, module: LightningModule) -> None:
        self.module = module
        self.totals: dict[str, Tensor] = {}
        """Terms of the step by the name of the mean, at least 1."""
        self.so_far: dict[str, Tensor] = {}
        """Of the step's means, the part of this process's batches so far."""

    @property
    def gathered(self) -> int:
        """Batches a process takes in an optimizer step."""
        trainer = self.module._trainer
        return 1 if trainer is None else int(trainer.accumulate_grad_batches)

    @property
    def processes(self) -> int:
        """How many processes there are."""
        trainer = self.module._trainer
        return 1 if trainer is None else int(trainer.world_size)

    def begin(self, batch: StudyBatch, index: int, terms: Callable[[StudyBatch], Mapping[str, float]]) -> None:
        """Before a batch's sums: with a step's first batch, gather how many terms the step has.

        Args:
            batch: the batch.
            index: its number in the epoch.
            terms: batch without films -> the number of its terms (or what they weigh together) by the name of the mean.

        Raises:
            SettingsError: gradients are gathered over batches that do not know of each other.
        """
        gathered = self.gathered
        if index % gathered:
            return
        if gathered > 1 and not 0 < len(batch.step) <= gathered:
            raise SettingsError(
                f"trainer.accumulate_grad_batches ({gathered}): the loader's batches belong to steps of "
                f"{len(batch.step) or 'one'}; have it set by data.batch_size and data.micro_batch_size"
            )
        counts = [terms(part) for part in batch.step or [batch]]
        names = list(counts[0])
        totals = sum_over_processes([sum(count[name] for count in counts) for name in names], self.module.device)
        totals = totals + (totals == 0)
        self.totals = dict(zip(names, totals, strict=True))
        self.so_far = {}

    def share(self, name: str, total: Tensor) -> Tensor:
        """What a batch whose terms sum up to ``total`` adds to the loss it returns."""
        return total / self.totals[name] * self.gathered * self.processes

    def log(self, name: str, total: Tensor, batch: StudyBatch, prog_bar: bool = False) -> None:
        """Log the mean over the step; with its last batch, which is when Trainer keeps it, that is complete."""
        part = total.detach() / self.totals[name]
        self.so_far[name] = self.so_far[name] + part if name in self.so_far else part
        value = self.so_far[name] * self.processes  # which the average over processes divides by
        self.module.log(name, value, prog_bar=prog_bar, batch_size=len(batch.study_ids), sync_dist=True)
