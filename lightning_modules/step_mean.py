"""Losses as means over a whole optimizer step, however many batches and processes share it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lightning import LightningModule
from torch import Tensor

from ammrg.errors import SettingsError
from ammrg.gathering import sum_over_processes
from ammrg.types import StudyBatch


class StepMeans:
    """The means that make up a training step's loss, each over its own kind of terms (tokens, labels, studies, ...).

    If batches have different numbers of terms, the mean of their means is not the mean over all terms. So each batch
    contributes its *sum*, divided by the number of terms of the whole step, that is of all batches of all processes.
    This number depends only on texts, labels and ids. Every batch knows those of the others (:attr:`StudyBatch.step`),
    so the number is known before the first batch is computed. Trainer and DDP divide the gradient by the numbers of
    batches and processes, which is undone here. Unscaling, clipping and the optimizer then see the gradient of the
    mean.

    Args:
        module: the module whose losses these are.
    """

    def __init__(self, module: LightningModule) -> None:
        self.module = module
        self.totals: dict[str, Tensor] = {}
        """Number of terms of the step for each mean, by name; at least 1."""
        self.so_far: dict[str, Tensor] = {}
        """What this process's batches have contributed so far to each of the step's means."""

    @property
    def gathered(self) -> int:
        """Number of batches that a process takes in an optimizer step."""
        trainer = self.module._trainer
        return 1 if trainer is None else int(trainer.accumulate_grad_batches)

    @property
    def processes(self) -> int:
        """Number of processes."""
        trainer = self.module._trainer
        return 1 if trainer is None else int(trainer.world_size)

    def begin(self, batch: StudyBatch, index: int, terms: Callable[[StudyBatch], Mapping[str, float]]) -> None:
        """Start a batch; at the first batch of a step, count the terms of the step over all processes.

        Args:
            batch: the batch.
            index: number of the batch in the epoch.
            terms: batch without films -> the number of its terms, or their summed weights, by the name of the mean.

        Raises:
            SettingsError: gradients are accumulated over batches that do not know each other.
        """
        gathered = self.gathered
        if index % gathered:
            return
        if gathered > 1 and not 0 < len(batch.step) <= gathered:
            raise SettingsError(
                f"trainer.accumulate_grad_batches ({gathered}): the data loader makes steps of {len(batch.step) or 1} "
                "batches; leave it unset, data.batch_size and data.micro_batch_size set it"
            )
        counts = [terms(part) for part in batch.step or [batch]]
        names = list(counts[0])
        totals = sum_over_processes([sum(count[name] for count in counts) for name in names], self.module.device)
        totals = totals + (totals == 0)
        self.totals = dict(zip(names, totals, strict=True))
        self.so_far = {}

    def share(self, name: str, total: Tensor) -> Tensor:
        """The contribution to the returned loss of a batch whose terms sum up to ``total``."""
        return total / self.totals[name] * self.gathered * self.processes

    def log(self, name: str, total: Tensor, batch: StudyBatch, prog_bar: bool = False) -> None:
        """Log the mean over the step so far; it is complete at the step's last batch, whose value the Trainer keeps."""
        part = total.detach() / self.totals[name]
        self.so_far[name] = self.so_far[name] + part if name in self.so_far else part
        value = self.so_far[name] * self.processes  # logging averages over processes, which divides by their number
        self.module.log(name, value, prog_bar=prog_bar, batch_size=len(batch.study_ids), sync_dist=True)
