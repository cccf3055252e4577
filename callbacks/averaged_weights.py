"""An exponential moving average of the weights: validated, chosen and saved in place of the last step's."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from ammrg.errors import SettingsError


class AveragedWeights(WeightAveraging):
    """Keeps averaged weights beside the trained ones; validation and checkpoints (``state_dict``) hold the average.

    Lightning's callback with what this project needs of it: the average warms up, so that a short run is not its
    random start; thresholds chosen at the end of a validation belong to the average; and a checkpoint that is tested
    after training keeps the average, where Lightning's would put the last step's weights back. Both sets are in a
    checkpoint, so a stopped run goes on exactly.

    Args:
        decay: d of average = d average + (1 - d) weights at each optimizer step, in (0, 1); after n steps at most
            (1 + n) / (10 + n).
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 < decay < 1:
            raise SettingsError(f"AveragedWeights.decay: found {decay}, must lie between 0 and 1.")
        self.decay = decay
        super().__init__(avg_fn=self.average)

    def average(self, averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        """The new average of one parameter or buffer; counts and flags are taken as they are."""
        if not averaged.is_floating_point():
            return current
        decay = min(self.decay, (1 + int(steps)) / (10 + int(steps)))
        return torch.lerp(current, averaged, decay)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Not yet: the module chooses its thresholds after this, for the weights that were validated."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Training goes on with its own weights."""
        if self._average_model is not None:
            self._swap_models(pl_module)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """After training the module holds the average, and no checkpoint may undo that."""
        self._average_model = None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """A continued run takes both sets of weights; anything else has the average already."""
        if self._average_model is not None:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """While training: the average in ``state_dict``, the trained weights beside it."""
        if self._average_model is not None:
            super().on_save_checkpoint(trainer, pl_module, checkpoint)
