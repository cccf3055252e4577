"""AdamW with linear warm-up and cosine decay per step, shared by all trained stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from ammrg.errors import SettingsError

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig


def adamw_cosine(
    parts: Sequence[tuple[nn.Module, float]],
    lr: float,
    weight_decay: float = 0.05,
    warmup_steps: int = 0,
    total_steps: int | float = 0,
    final_fraction: float = 0.01,
) -> OptimizerLRSchedulerConfig:
    """What ``configure_optimizers`` returns: AdamW whose rate rises for ``warmup_steps``, then falls along a cosine.

    Args:
        parts: (module, multiplier of lr). A parameter found in two parts takes the first; frozen ones are left out.
        lr: peak rate of a part with multiplier 1.
        weight_decay: of matrices and kernels; vectors (biases, norms) have none.
        total_steps: optimizer steps of the whole run (``trainer.estimated_stepping_batches``); without a known end
            (infinite, or < 1) the rate stays at its peak after the warm-up.
        final_fraction: of the peak, reached at the last step.

    Raises:
        SettingsError: nothing to train, or a warm-up as long as the run.
    """
    groups: list[dict[str, object]] = []
    taken: set[int] = set()
    for module, multiplier in parts:
        fresh = [p for p in module.parameters() if p.requires_grad and id(p) not in taken]
        taken.update(id(p) for p in fresh)
        for matrices, decay in ((True, weight_decay), (False, 0.0)):
            members = [p for p in fresh if (p.ndim > 1) is matrices]
            if members:
                groups.append({"params": members, "lr": lr * multiplier, "weight_decay": decay})
    if not groups:
        raise SettingsError("optimizer: no parameter is trained; unfreeze a part of the model.")
    known_end = 1 <= total_steps < math.inf
    if known_end and warmup_steps >= total_steps:
        raise SettingsError(
            f"model.warmup_steps ({warmup_steps}) must be smaller than the steps of the run ({int(total_steps)}); "
            "lower it or train longer."
        )

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        if not known_end:
            return 1.0
        progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
        return final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * progress)) / 2

    optimizer = torch.optim.AdamW(groups, lr=lr)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
