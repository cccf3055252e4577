"""AdamW with linear warm-up and cosine decay, stepped at each optimizer step; used by both stages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from ammrg.errors import SettingsError
from ammrg.networks.backbone import blocks_of, stem_of
from ammrg.networks.visual_encoder import VisualEncoder

if TYPE_CHECKING:
    from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig


class TrainedPart(NamedTuple):
    """A part of a network with its learning rate and its first step."""

    module: nn.Module
    scale: float = 1.0
    """Multiplies the run's learning rate."""
    from_step: int = 0
    """Optimizer step at which the part's warm-up starts; before it the learning rate is 0."""


def falling_rates(encoder: VisualEncoder, scale: float, decay: float) -> list[TrainedPart]:
    """List the parts of an encoder, with rates that fall from the tokens to the film (Howard and Ruder 2018).

    Args:
        encoder: its blocks are those of :func:`ammrg.networks.backbone.blocks_of`.
        scale: of what follows the last block, and of the last block.
        decay: rate of a block, or of the stem, as a share of the next block's.
    """
    if decay == 1:
        return [TrainedPart(encoder, scale)]
    blocks = blocks_of(encoder.backbone)
    rates = [scale * decay**later for later in reversed(range(len(blocks)))]
    stem = stem_of(encoder.backbone)
    return [
        TrainedPart(stem, scale * decay ** len(blocks)),
        *map(TrainedPart, blocks, rates),
        TrainedPart(encoder, scale),
    ]


def adamw_cosine(
    parts: Sequence[TrainedPart],
    lr: float,
    weight_decay: float = 0.05,
    warmup_steps: int = 0,
    total_steps: int | float = 0,
    final_fraction: float = 0.01,
) -> OptimizerLRSchedulerConfig:
    """AdamW whose learning rate rises linearly, then falls along a cosine, as ``configure_optimizers`` returns it.

    Args:
        parts: the parts to train; a parameter in two parts belongs to the first, and frozen parameters are left out.
        lr: peak learning rate of a part with scale 1.
        weight_decay: AdamW's weight decay of matrices and kernels; vectors (biases, norms) have none.
        warmup_steps: optimizer steps of linear warm-up; where they would not end within the run, half of a part's
            steps are taken, which is said.
        total_steps: optimizer steps of the whole run (``trainer.estimated_stepping_batches``); if they are not known
            (infinite, or < 1) the rate stays at its peak after the warm-up. Each part begins before the last of them
            (:func:`beginnings_within`).
        final_fraction: learning rate at the last step as a share of the peak.

    Raises:
        SettingsError: there is nothing to train, or a weight has less than float32 precision (which rounds small steps
            away).
    """
    groups: list[dict[str, object]] = []
    factors: list[Callable[[int], float]] = []
    taken: set[int] = set()
    known_end = 1 <= total_steps < math.inf
    told: set[str] = set()
    for part in parts:
        fresh = [p for p in part.module.parameters() if p.requires_grad and id(p) not in taken]
        taken.update(id(p) for p in fresh)
        coarse = next((str(p.dtype) for p in fresh if torch.finfo(p.dtype).bits < 32), None)
        if coarse is not None:
            raise SettingsError(
                f"trainer.precision: trained weights must be float32, found {coarse}, which rounds small steps away; "
                "use bf16-mixed, which keeps weights in float32 and computes in bfloat16"
            )
        warmup = warmup_steps
        if fresh and known_end and part.from_step + warmup >= total_steps:
            warmup = (int(total_steps) - part.from_step) // 2
            told.add(_shortened(warmup_steps, warmup, part.from_step, int(total_steps)))
        for matrices, decay in ((True, weight_decay), (False, 0.0)):
            members = [p for p in fresh if (p.ndim > 1) is matrices]
            if members:
                groups.append({"params": members, "lr": lr * part.scale, "weight_decay": decay})
                factors.append(_schedule(part.from_step, warmup, total_steps if known_end else None, final_fraction))
    for message in sorted(told):
        rank_zero_only(print)(message)
    if not groups:
        raise SettingsError("optimizer: no parameter is trained; unfreeze a part of the model.")
    optimizer = torch.optim.AdamW(groups, lr=lr)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def beginnings_within(steps: Mapping[str, int], warmup: int, total: int | float) -> dict[str, int]:
    """Steps from which parts are trained, brought forward in a run too short for them, which is said.

    Args:
        steps: part -> optimizer step from which it is to be trained.
        warmup: optimizer steps of each part's warm-up.
        total: optimizer steps of the whole run, or infinite.

    Returns:
        The same parts; one whose warm-up would not end within the run begins in the middle of the run at the latest.
    """
    begun = {}
    for part, step in steps.items():
        begun[part] = min(step, int(total) // 2) if 1 <= total <= step + warmup else step
        if begun[part] != step:
            rank_zero_only(print)(
                f"model.unfreeze_at.{part}: step {begun[part]} instead of {step}, because the run has only "
                f"{int(total)} steps"
            )
    return begun


def _shortened(asked: int, warmup: int, start: int, total: int) -> str:
    """What is said of a warm-up that the run is too short for."""
    late = f", and a part begins at step {start}" if start else ""
    return f"model.warmup_steps: {warmup} instead of {asked}, because the run has only {total} steps{late}"


def _schedule(start: int, warmup: int, total: int | float | None, final_fraction: float) -> Callable[[int], float]:
    """Step -> factor of the peak learning rate: 0 before ``start``, a linear rise, then a cosine fall until ``total``.

    Without a known ``total`` (None) there is no fall.
    """

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
