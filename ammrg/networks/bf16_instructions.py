"""Whether this machine's CPU computes in bfloat16, or only emulates it."""

from __future__ import annotations

import torch


def has_bf16_instructions() -> bool:
    """Whether oneDNN, which computes torch's convolutions and matrix products on CPUs, supports bf16 here."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
