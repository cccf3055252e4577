"""Gathers sharded weights on every process while no training step runs."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from ammrg.sharding import gather, scatter


class GatheredWeights(Callback):
    """Gives every process all weights during validation, tests and the end of training, under fully sharded training.

    In these phases processes do different work: only some have films with boxes to make maps of, for example. A process
    that waited for another's part of a layer would then wait forever. Without sharding the callback does nothing. List
    it before callbacks that use the weights.
    """

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather all weights for the validation."""
        gather(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Shard the weights again, for training."""
        scatter(pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather all weights for the test."""
        gather(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather all weights for callbacks that run at the end of training."""
        gather(pl_module)
