"""AdamW with linear warm-up and cosine decay per step, shared by all trained stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from ammrg.errors import SettingsError

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig


class TrainedPart(NamedTuple):
    """A part of a network, and how it is trained."""

    module: nn.Module
    scale: float = 1.0
    """Multiplies the run's learning rate."""
    from_step: int = 0
    """Its rate is 0 before this optimizer step; then it warms up as others did at the start."""


def adamw_cosine(
    parts: Sequence[TrainedPart],
    lr: float,
    weight_decay: float = 0.05,
    warmup_steps: int = 0,
    total_steps: int | float = 0,
    final_fraction: float = 0.01,
) -> OptimizerLRSchedulerConfig:
    """What ``configure_optimizers`` returns: AdamW whose rate rises for ``warmup_steps``, then falls along a cosine.

    Args:
        parts: a parameter found in two takes the first; frozen ones are left out.
        lr: peak rate of a part with scale 1.
        weight_decay: of matrices and kernels; vectors (biases, norms) have none.
        total_steps: optimizer steps of the whole run (``trainer.estimated_stepping_batches``); without a known end
            (infinite, or < 1) the rate stays at its peak after the warm-up.
        final_fraction: of the peak, reached at the last step.

    Raises:
        SettingsError: nothing to train, a weight in less than float32 (a small step would be rounded away), or a start
            or a warm-up that the run does not see the end of.
    """
    groups: list[dict[str, object]] = []
    factors: list[Callable[[int], float]] = []
    taken: set[int] = set()
    known_end = 1 <= total_steps < math.inf
    for part in parts:
        fresh = [p for p in part.module.parameters() if p.requires_grad and id(p) not in taken]
        taken.update(id(p) for p in fresh)
        coarse = next((str(p.dtype) for p in fresh if torch.finfo(p.dtype).bits < 32), None)
        if coarse is not None:
            raise SettingsError(
                f"trainer.precision: what is trained must be held in float32, found {coarse}, which rounds small "
                "steps away; take bf16-mixed, which computes in bfloat16 all the same"
            )
        if fresh and known_end and part.from_step + warmup_steps >= total_steps:
            raise SettingsError(
                f"model.warmup_steps ({warmup_steps}){f' after step {part.from_step}' if part.from_step else ''} must "
                f"be smaller than the steps of the run ({int(total_steps)}); lower it or train longer."
            )
        for matrices, decay in ((True, weight_decay), (False, 0.0)):
            members = [p for p in fresh if (p.ndim > 1) is matrices]
            if members:
                groups.append({"params": members, "lr": lr * part.scale, "weight_decay": decay})
                factors.append(
                    _schedule(part.from_step, warmup_steps, total_steps if known_end else None, final_fraction)
                )
    if not groups:
        raise SettingsError("optimizer: no parameter is trained; unfreeze a part of the model.")
    optimizer = torch.optim.AdamW(groups, lr=lr)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def _schedule(start: int, warmup: int, total: int | float | None, final_fraction: float) -> Callable[[int], float]:
    """Step -> what the peak rate is multiplied by: 0 before ``start``, then a line up, then a cosine down to ``total``
    (None: no known end, so none)."""

    def factor(step: int) -> float:
        if step < start:
            return 0.0
        if step < start + warmup:
            return (step - start + 1) / (warmup + 1)
        if total is None:
            return 1.0
        progress = min(1.0, (step - start - warmup) / max(1, total - start - warmup))
        return final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * progress)) / 2

    return factor
