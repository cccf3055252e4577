"""The precision that a Trainer can use well on this machine."""

from __future__ import annotations

import torch
from lightning.pytorch.utilities import rank_zero_info


def usable_precision(asked: str, accelerator: str) -> str:
    """``bf16-mixed`` on a CPU without bf16 instructions becomes ``32-true``: there bf16 is emulated and some ten times
    slower than float32, where with them it is about twice as fast. Everything else is used as asked.

    Args:
        asked: of the Trainer.
        accelerator: of the Trainer; ``auto`` is the CPU where there is no GPU.
    """
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.accelerator.is_available())
    if asked != "bf16-mixed" or not on_cpu or has_bf16_instructions():
        return asked
    rank_zero_info("trainer.precision: this CPU has no bf16 instructions; training in float32 (32-true) instead")
    return "32-true"


def has_bf16_instructions() -> bool:
    """Whether oneDNN, which runs torch's convolutions and products on CPUs, computes in bf16 here."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
