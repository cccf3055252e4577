"""Sharded weights are whole wherever they are only looked at."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer

from ammrg.sharding import gather, scatter


class GatheredWeights(Callback):
    """Under fully sharded training every process holds all weights through validation, tests and the end of training:
    there processes go ways of their own, such as making maps of the films that have boxes, and one that waited for
    another's part of a layer would wait for ever. Elsewhere it does nothing. Stands before callbacks that look.
    """

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look."""
        gather(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Train."""
        scatter(pl_module)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look."""
        gather(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look."""
        gather(pl_module)
