"""A language model in 4 or 8 bits, through bitsandbytes."""

from __future__ import annotations

import logging
from typing import Any, Literal

import torch
from torch import nn

from ammrg.errors import SettingsError

Quantization = Literal["nf4", "fp4", "int8", "none"]


def bitsandbytes_settings(quantization: str, dtype: torch.dtype) -> Any:
    """What transformers needs to load a model quantised: 4 bits (``nf4`` or ``fp4``) with double quantisation, or
    ``int8``; None for ``none``.

    Raises:
        SettingsError: another quantisation.
    """
    from transformers import BitsAndBytesConfig

    if quantization in ("nf4", "fp4"):
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type=quantization,
            bnb_4bit_compute_dtype=dtype,
            bnb_4bit_use_double_quant=True,
        )
    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    if quantization != "none":
        raise SettingsError(f"quantization '{quantization}' is none of nf4, fp4, int8, none")
    return None


def cure_linear4bit(model: nn.Module) -> None:
    """Keep bitsandbytes from repacking 4-bit weights on CPUs with AVX512-BF16.

    There a first forward pass in eval mode, on an input without gradient, changes every ``Linear4bit`` in place to a
    form that only a kernel without autograd reads: from then on no gradient passes, while the loss looks normal.
    (It came with https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1804; another fault of the same repacking
    is open as https://github.com/bitsandbytes-foundation/bitsandbytes/issues/2078.)
    """
    import bitsandbytes as bnb

    # It says that an optional package for CPUs is missing, which changes nothing here.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False
