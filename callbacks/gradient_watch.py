"""Logs the norm of the gradients, and ends the training if it is not finite, before it reaches the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from ammrg.atomic import write_json
from ammrg.errors import AMMRGError


class GradientWatch(Callback):
    """Logs ``train/grad_norm`` (before clipping) and stops the training if it is NaN or infinite.

    The error names the studies of the step and the last checkpoint, whose weights are still good. Under ``16-mixed``
    the gradient scaler handles infinite gradients, so the norm is only logged.
    """

    def __init__(self) -> None:
        self.studies: list[str] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note the studies whose gradients are accumulated."""
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self.studies = []
        self.studies += batch.study_ids

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Log the norm.

        Raises:
            AMMRGError: a gradient is not finite.
        """
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = get_total_norm(gradients)
        pl_module.log("train/grad_norm", norm, batch_size=len(self.studies))
        if torch.isfinite(norm) or str(trainer.precision) == "16-mixed":
            return
        broken = [
            name for name, p in pl_module.named_parameters() if p.grad is not None and not p.grad.isfinite().all()
        ]
        folder = Path(trainer.default_root_dir)
        path = folder / f"not_finite-{trainer.global_rank}.json"
        facts = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "gradient_norm": str(norm.item()),
            "study_ids": self.studies,
            "parameters": broken,
        }
        write_json(path, facts)
        last = folder / "last.ckpt"
        good = f"the last good checkpoint is {last}" if last.exists() else "no checkpoint was written yet"
        raise AMMRGError(
            f"the gradient norm of step {trainer.global_step} is {norm.item()}, for studies {', '.join(self.studies)} "
            f"({path} also lists the parameters); {good}. Check these films and reports, or lower model.lr; the same "
            "command resumes from there"
        )
