"""best.ckpt and last.ckpt of a run, under stable names in the run's folder."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint


class RunCheckpoint(ModelCheckpoint):
    """Keeps the best epoch by a validation score and the last one, so that a stopped run goes on.

    Args:
        monitor: the validation score that chooses, such as ``val/auroc``.
        mode: ``max`` or ``min``.
    """

    def __init__(self, monitor: str, mode: str = "max") -> None:
        super().__init__(
            monitor=monitor,
            mode=mode,
            filename="best",
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
            auto_insert_metric_name=False,
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """The folder is the trainer's ``default_root_dir``, known only now."""
        self.dirpath = str(trainer.default_root_dir)
        super().setup(trainer, pl_module, stage)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch as ``last.ckpt``, whether it was the best or not.

        Lightning's own ``save_last`` copies only when another checkpoint is saved: a run that had not improved would go
        on from its best epoch instead of its last.
        """
        super().on_train_epoch_end(trainer, pl_module)
        assert self.dirpath is not None
        self.last_model_path = str(Path(self.dirpath) / "last.ckpt")
        trainer.save_checkpoint(self.last_model_path)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Say how a stopped run goes on."""
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero:
            print(f"\nstopped; the same command goes on from {self.last_model_path or 'the start'}")
