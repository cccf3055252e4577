"""The numeric precision that a Trainer can use well on this machine."""

from __future__ import annotations

import torch
from lightning.pytorch.utilities import rank_zero_only

from ammrg.networks.bf16_instructions import has_bf16_instructions


def usable_precision(requested: str, accelerator: str) -> str:
    """The precision to train in: the one in the settings, or ``32-true`` for ``bf16-mixed`` on a CPU that lacks it.

    A CPU without bf16 instructions emulates them about ten times slower than float32; one that has them is about twice
    as fast as in float32.

    Args:
        requested: ``trainer.precision``.
        accelerator: ``trainer.accelerator``; ``auto`` is the CPU if there is no GPU.
    """
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.accelerator.is_available())
    if requested != "bf16-mixed" or not on_cpu or has_bf16_instructions():
        return requested
    rank_zero_only(print)("trainer.precision: 32-true instead of bf16-mixed, because this CPU has no bf16 instructions")
    return "32-true"
