"""best.ckpt and the last checkpoints of a run, under stable names in its folder; a signal saves one and stops."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from ammrg.ranges import check_ranges
from callbacks.checkpoint_files import LAST, rotate

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Ctrl-C; what a cluster sends a job that it preempts; what our job scripts ask for before the time limit."""
MOST_STEPS = 200
"""Between two checkpoints, where ``every_n_steps`` is not given."""


class RunCheckpoint(ModelCheckpoint):
    """Keeps the best epoch by a validation score, and the last places of the training, from which a stopped run goes on
    as if it had not been stopped.

    ``last.ckpt`` is written every so many optimizer steps, a step before each epoch's last (a run stopped in its
    validation repeats one step), at each epoch's end, and at SIGINT, SIGTERM and SIGUSR1, which end the training after
    the step in progress; in a validation, which is repeated, at once. A second signal ends it wherever it is.

    Args:
        monitor: the validation score that chooses, such as ``val/auroc``.
        mode: ``max`` or ``min``.
        every_n_steps: optimizer steps between two ``last.ckpt``; None = four times an epoch, and every 200 steps.
        keep: so many last checkpoints: ``last.ckpt``, ``last-1.ckpt``, ...; where the newest is found damaged the one
            before it is used.
    """

    def __init__(self, monitor: str, mode: str = "max", every_n_steps: int | None = None, keep: int = 2) -> None:
        numbers = {"every_n_steps": every_n_steps, "keep": keep}
        check_ranges(numbers, root="RunCheckpoint", counts={"every_n_steps": "step", "keep": "checkpoint"})
        super().__init__(
            monitor=monitor,
            mode=mode,
            filename="best",
            save_top_k=1,
            enable_version_counter=False,
            save_on_train_epoch_end=True,
            auto_insert_metric_name=False,
        )
        self.every_n_steps, self.keep = every_n_steps, keep
        self.signalled: signal.Signals | None = None
        self.stopping = False
        self._handlers: dict[int, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """The folder is the trainer's ``default_root_dir``, known only now."""
        self.dirpath = str(trainer.default_root_dir)
        super().setup(trainer, pl_module, stage)

    # --- saving -----------------------------------------------------------------------------------------------------
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save after an optimizer step, where one is due.

        Never after the last of an epoch: Lightning goes on from such a checkpoint with the next epoch, without the
        validation of this one. Never between two steps: gradients that have gathered are in no checkpoint.
        """
        gathered, done = trainer.accumulate_grad_batches, batch_idx + 1
        if done % gathered or done >= trainer.num_training_batches:
            return
        self.stopping = self.told_to_stop(trainer)
        before_last = done + gathered >= trainer.num_training_batches
        per_epoch = int(trainer.num_training_batches) // gathered
        every = self.every_n_steps or max(1, min(MOST_STEPS, per_epoch // 4))
        if self.stopping or before_last or trainer.global_step % every == 0:
            self.save_place(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch as ``last.ckpt``, whether it was the best or not.

        Lightning's own ``save_last`` copies only when another checkpoint is saved: a run that had not improved would go
        on from its best epoch instead of its last.
        """
        super().on_train_epoch_end(trainer, pl_module)
        self.save_place(trainer)
        self.stopping = self.told_to_stop(trainer)

    def save_place(self, trainer: Trainer) -> None:
        """Write ``last.ckpt``; the one before it becomes ``last-1.ckpt``."""
        assert self.dirpath is not None
        folder = Path(self.dirpath)
        fresh = folder / f"{LAST}.fresh.ckpt"
        self.last_model_path = str(folder / f"{LAST}.ckpt")
        trainer.save_checkpoint(fresh, weights_only=self.save_weights_only)
        if trainer.is_global_zero:
            rotate(folder, fresh, self.keep)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The best so far, wherever the run's folder lies now: a container or another mount names it otherwise."""
        assert self.dirpath is not None
        best = str(Path(self.dirpath) / "best.ckpt") if state_dict["best_model_path"] else ""
        scores = list(state_dict["best_k_models"].values())
        super().load_state_dict(
            {
                **state_dict,
                "dirpath": self.dirpath,
                "best_model_path": best,
                "kth_best_model_path": best,
                "best_k_models": {best: scores[0]} if scores else {},
            }
        )

    # --- signals ----------------------------------------------------------------------------------------------------
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over from Lightning, whose handler saves in the middle of a step."""
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self.on_signal) for number in STOPPING}

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Remember; a second one ends the training now."""
        if self.signalled is not None:
            raise KeyboardInterrupt
        self.signalled = signal.Signals(number)
        print(f"\n{self.signalled.name}: saving a checkpoint after this step", flush=True)

    def told_to_stop(self, trainer: Trainer) -> bool:
        """Whether any process was signalled: all stop after the same step."""
        return bool(trainer.strategy.reduce_boolean_decision(self.signalled is not None, all=False))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop where the checkpoint was just saved and the step's numbers are logged."""
        if self.stopping:
            raise KeyboardInterrupt

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Stop where the checkpoint was just saved and the step's numbers are logged."""
        if self.stopping:
            raise KeyboardInterrupt

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Stop at once, all together: the step before the epoch's last is saved."""
        if self.told_to_stop(trainer):
            raise KeyboardInterrupt

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the signals back."""
        super().on_train_end(trainer, pl_module)
        self.give_back()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Say how a stopped run goes on."""
        self.give_back()
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero:
            print(f"\nstopped; the same command goes on from {self.last_model_path or 'the start'}", flush=True)

    def give_back(self) -> None:
        """Put the handlers back that were there before."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
