"""An exponential moving average of the weights, which is validated and saved in place of the last step's weights."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from ammrg.errors import SettingsError


class AveragedWeights(WeightAveraging):
    """Averages the weights over training; validation and checkpoints (``state_dict``) use the average.

    It differs from Lightning's callback in three ways. The average warms up, so that in a short run it is not
    dominated by the random start. Thresholds chosen at the end of a validation belong to the average. A checkpoint
    tested after training keeps the average, where Lightning would restore the last step's weights. Checkpoints contain
    both sets of weights, so a stopped run resumes exactly.

    Args:
        decay: d in (0, 1) of average = d average + (1 - d) weights, applied at each optimizer step; after n steps at
            most (1 + n) / (10 + n).
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise SettingsError(f"AveragedWeights.decay: found {decay}, must lie between 0 and 1.")
        self.decay = decay
        super().__init__(avg_fn=self.average)

    def average(self, averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        """The new average of one parameter or buffer; integers and flags are copied."""
        if not averaged.is_floating_point():
            return current
        decay = min(self.decay, (1 + int(steps)) / (10 + int(steps)))
        return torch.lerp(current, averaged, decay)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the average in place: the module chooses its thresholds after this hook, for the validated weights."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the trained weights back in place."""
        if self._average_model is not None:
            self._swap_models(pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Drop the callback's copy, so that no checkpoint read later replaces the average in the module."""
        self._average_model = None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore both sets of weights in a resumed run; anything else already gets the average."""
        if self._average_model is not None:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """While training, save the average in ``state_dict`` and the trained weights beside it."""
        if self._average_model is not None:
            super().on_save_checkpoint(trainer, pl_module, checkpoint)
