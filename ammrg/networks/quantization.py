"""Quantisation of a language model to 4 or 8 bits by bitsandbytes."""

from __future__ import annotations

import logging
from typing import Any, Literal

import torch
from torch import nn

from ammrg.errors import SettingsError

Quantization = Literal["nf4", "fp4", "int8", "none"]


def bitsandbytes_settings(quantization: str, dtype: torch.dtype) -> Any:
    """Make the settings with which transformers loads a quantised model.

    Args:
        quantization: ``nf4`` or ``fp4`` (4 bits with double quantisation), ``int8``, or ``none``.
        dtype: of the computation.

    Returns:
        A ``BitsAndBytesConfig``; None for ``none``.

    Raises:
        SettingsError: another quantisation.
    """
    from transformers import BitsAndBytesConfig

    # At its first import bitsandbytes warns that an optional package for CPUs is missing, which has no effect here.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
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
        raise SettingsError(f"quantization '{quantization}' must be nf4, fp4, int8 or none")
    return None


def prevent_repacking(model: nn.Module) -> None:
    """Keep bitsandbytes from repacking 4-bit weights on CPUs with AVX512-BF16.

    On these CPUs, the first forward pass in eval mode on an input without gradient changes every ``Linear4bit`` in
    place to a form that only a kernel without autograd reads. From then on no gradient passes, although the loss looks
    normal. (This came with https://github.com/bitsandbytes-foundation/bitsandbytes/pull/1804; another fault of the same
    repacking is open as https://github.com/bitsandbytes-foundation/bitsandbytes/issues/2078.)
    """
    import bitsandbytes as bnb

    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False
