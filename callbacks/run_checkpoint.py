"""Saves best.ckpt and the last checkpoints of a run under stable names; a signal saves one and stops the run."""

from __future__ import annotations

import os
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
"""Ctrl-C; the signal of a cluster to a preempted job; the signal that our job scripts request before the time limit."""
MOST_STEPS = 200
"""Most optimizer steps between two checkpoints if ``every_n_steps`` is not given."""


class RunCheckpoint(ModelCheckpoint):
    """Saves the best epoch by a validation score, and the last checkpoints, from which a stopped run resumes exactly.

    ``last.ckpt`` is written every ``every_n_steps`` optimizer steps, one step before each epoch's last step (a run
    stopped during validation repeats one step), and at each epoch's end. SIGINT, SIGTERM and SIGUSR1 also save it and
    end the training after the present step. During a validation they end the training at once, and the validation is
    repeated on resuming. A second signal always ends it at once.

    Args:
        monitor: validation score that decides which epoch is best, such as ``val/auroc``.
        mode: whether the ``max`` or the ``min`` of the score is best.
        every_n_steps: optimizer steps between two ``last.ckpt``, at least 1; None = a quarter of an epoch, at most 200.
        keep: number of last checkpoints, at least 1: ``last.ckpt``, ``last-1.ckpt``, ...; if the newest is damaged, the
            one before it is used.
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
        self.process = os.getpid()
        self._handlers: dict[int, Any] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the trainer's ``default_root_dir`` as the folder, which is known only now."""
        self.dirpath = str(trainer.default_root_dir)
        super().setup(trainer, pl_module, stage)

    # --- saving -----------------------------------------------------------------------------------------------------
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save after an optimizer step, if a checkpoint is due.

        Not after the last step of an epoch: Lightning would resume from it with the next epoch and skip this one's
        validation. Not between two optimizer steps: checkpoints do not contain accumulated gradients.
        """
        gathered, done = trainer.accumulate_grad_batches, batch_idx + 1
        if done % gathered or done >= trainer.num_training_batches:
            return
        self.stopping = self.should_stop(trainer)
        before_last = done + gathered >= trainer.num_training_batches
        per_epoch = int(trainer.num_training_batches) // gathered
        every = self.every_n_steps or max(1, min(MOST_STEPS, per_epoch // 4))
        if self.stopping or before_last or trainer.global_step % every == 0:
            self.save_place(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch as ``last.ckpt``, whether it was the best or not.

        Lightning's own ``save_last`` copies only when another checkpoint is saved: a run without improvement would
        resume from its best epoch instead of its last.
        """
        super().on_train_epoch_end(trainer, pl_module)
        self.save_place(trainer)
        self.stopping = self.should_stop(trainer)

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
        """Restore the best score so far, with paths in the present folder: the run may have been moved or mounted."""
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
        """Replace Lightning's signal handler, which saves in the middle of a step."""
        self.process = os.getpid()
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self.on_signal) for number in STOPPING}

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal; a second one ends the training at once.

        A Ctrl-C also reaches the loader processes, which inherit the handler; they end with the training.
        """
        if os.getpid() != self.process:
            return
        if self.signalled is not None:
            raise KeyboardInterrupt
        self.signalled = signal.Signals(number)
        print(f"\n{self.signalled.name}: saving a checkpoint after this step", flush=True)

    def should_stop(self, trainer: Trainer) -> bool:
        """Whether any process got a signal; all processes get the same answer, so all stop after the same step."""
        return bool(trainer.strategy.reduce_boolean_decision(self.signalled is not None, all=False))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop here after a signal: the checkpoint is saved, and the last step's numbers are logged."""
        if self.stopping:
            raise KeyboardInterrupt

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Stop here after a signal: the checkpoint is saved, and the last step's numbers are logged."""
        if self.stopping:
            raise KeyboardInterrupt

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Stop at once after a signal, on all processes: the step before the epoch's last is saved."""
        if self.should_stop(trainer):
            raise KeyboardInterrupt

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the earlier signal handlers."""
        super().on_train_end(trainer, pl_module)
        self.give_back()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the earlier signal handlers."""
        self.give_back()

    def give_back(self) -> None:
        """Restore the signal handlers that were set before training."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
