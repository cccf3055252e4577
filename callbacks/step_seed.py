"""Seeds every training step: its random draws depend on seed, epoch, step and rank alone, so no state is saved."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class StepSeed(Callback):
    """Seeds torch before every training step, so that a resumed run draws the same numbers as an uninterrupted one.

    Saving generator states is not enough: building loaders, validating and generating also draw numbers, and not
    equally many after a resume. Order and augmentation of studies already depend on seed and epoch alone.
    """

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed torch from the run's seed, epoch, batch and rank."""
        place = (int(os.environ.get("PL_GLOBAL_SEED") or 0), trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1)[0]))
