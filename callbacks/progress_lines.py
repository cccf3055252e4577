"""Says in a log file how far a run is, where no progress bar is drawn."""

from __future__ import annotations

import math
from time import monotonic
from typing import Any

from lightning.pytorch import Callback, Trainer

EVERY = 60.0
"""Seconds between two lines."""


class ProgressLines(Callback):
    """Prints a line a minute: what runs, how many batches of how many are done, and about how long the rest takes.

    Of a validation it says that it begins.
    """

    def __init__(self) -> None:
        self.began = self.said = monotonic()
        self.first = 0

    def begin(self, first: int = 0) -> None:
        """Start the clock of a loop whose first ``first`` batches were done before."""
        self.began = self.said = monotonic()
        self.first = first

    def say(self, what: str, done: int, total: float) -> None:
        """Print a line if the last one is a minute old."""
        now = monotonic()
        if now - self.said < EVERY:
            return
        self.said = now
        left = (total - done) * (now - self.began) / max(1, done - self.first)
        rest = f" of {total:,.0f}, about {duration(left)} left" if math.isfinite(left) else ""
        print(f"{what}: {done:,}{rest}", flush=True)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the clock."""
        self.begin(trainer.global_step)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Say how far training is, in optimizer steps."""
        self.say("training, steps", trainer.global_step, trainer.estimated_stepping_batches)

    def on_validation_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Say that a validation in training begins: its one batch may write reports for many minutes."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self.said = monotonic()
            print(f"validation, batches: {sum(trainer.num_val_batches):,}", flush=True)

    def on_test_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the clock."""
        self.begin()

    def on_test_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Say how far testing is."""
        self.say("testing, batches", batch_idx + 1, trainer.num_test_batches[dataloader_idx])

    def on_predict_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start the clock."""
        self.begin()

    def on_predict_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Say how far predicting is."""
        self.say("predicting, batches", batch_idx + 1, trainer.num_predict_batches[dataloader_idx])


def duration(seconds: float) -> str:
    """``3 min`` or ``2.5 h``."""
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 100 else f"{minutes / 60:.1f} h"
