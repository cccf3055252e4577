"""Linear layers of a language model unpacked: 4-bit weights as matrices in the dtype of the computation.

A packed layer unpacks its weights in every forward and every backward pass. Where memory allows, training holds the
unpacked matrices instead: the same values, so the same outputs and gradients.

For reading, where nothing is trained, an adapter is merged too, since it adds two products to each layer:

    W = unpacked(W_4bit) + scaling * B A

with the values that the packed layer computes with, so outputs are the same up to rounding. On CPUs with bfloat16
instructions, bfloat16 matrices, those of plain linear layers and the head too, are held as
:mod:`ammrg.networks.reordered` has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ammrg.networks.free_memory import free_memory
from ammrg.networks.reordered import reordered_linear, reorders

SHARE = 0.5
"""Most of the free memory that unpacked matrices may take."""


def train_unpacked(model: nn.Module, dtype: torch.dtype) -> int:
    """Replace the 4-bit layers of a model on a CPU with frozen linear ones of the same values, if memory allows.

    On other devices layers stay packed: activations need the memory, and unpacking takes little time there.

    Args:
        model: with or without adapters, whose base layers are replaced.
        dtype: of the computation.

    Returns:
        Bytes of the matrices; 0 where the layers stay packed.
    """
    from bitsandbytes.nn import Linear4bit

    packed = {name: layer for name, layer in model.named_modules() if isinstance(layer, Linear4bit)}
    needed: int = sum(layer.in_features * layer.out_features for layer in packed.values()) * dtype.itemsize
    if not _fits(model, needed):
        return 0
    with torch.inference_mode(False), torch.no_grad():
        for name, layer in packed.items():
            linear = nn.Linear(layer.in_features, layer.out_features, bias=False, device="meta")
            linear.weight = nn.Parameter(_weight(layer, dtype), requires_grad=False)
            linear.bias = layer.bias
            model.set_submodule(name, linear.train(layer.training))
    return needed


def read_unpacked(model: nn.Module, dtype: torch.dtype) -> int:
    """Let the linear layers of a model on a CPU read with merged matrices from now on, if there is memory for them.

    Parameters and state dict stay as they are. :func:`read_packed` undoes it; weights that change afterwards are not
    noticed.

    Args:
        model: in eval mode.
        dtype: of the computation.

    Returns:
        Bytes of the merged matrices; 0 where the layers stay packed.
    """
    reorder = reorders(dtype)
    layers = list(_layers(model, dtype if reorder else None))
    needed: int = sum(layer.in_features * layer.out_features for layer in layers) * dtype.itemsize
    if not _fits(model, needed):
        return 0
    with torch.inference_mode(False), torch.no_grad():
        for layer in layers:
            base = getattr(layer, "base_layer", layer)
            weight = _merged(layer, base, dtype)
            layer.forward = (
                reordered_linear(weight, base.bias) if reorder else partial(F.linear, weight=weight, bias=base.bias)
            )
    return needed


def read_packed(model: nn.Module) -> None:
    """Let the linear layers read with their own weights again."""
    for layer in _layers(model, torch.bfloat16):
        layer.__dict__.pop("forward", None)


def weight_form(model: nn.Module, quantization: str, dtype: torch.dtype) -> str:
    """Say how the linear layers are held, as in ``packed nf4 weights`` or ``float32 matrices (of nf4 weights)``."""
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    matrices = f"{_name(dtype)} matrices" + ("" if quantization == "none" else f" (of {quantization} weights)")
    if any("forward" in layer.__dict__ for layer in _layers(model, torch.bfloat16)):
        return f"merged {matrices}"
    if any(isinstance(layer, Linear4bit | Linear8bitLt) for layer in model.modules()):
        return f"packed {quantization} weights"
    return matrices


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _layers(model: nn.Module, plain: torch.dtype | None = None) -> Iterator[Any]:
    """Yield adapted layers whose base is linear or in 4 bits, 4-bit layers, and linear ones of the dtype ``plain``."""
    from bitsandbytes.nn import Linear4bit
    from peft.tuners.lora import LoraLayer

    inside: set[nn.Module] = set()
    for module in model.modules():
        if isinstance(module, LoraLayer):
            inside.update(module.modules())
            if type(module.base_layer) in (nn.Linear, Linear4bit):
                yield module
        elif module in inside:
            continue
        elif isinstance(module, Linear4bit) or (type(module) is nn.Linear and module.weight.dtype == plain):
            yield module


def _fits(model: nn.Module, needed: int) -> bool:
    """Whether a model is on a CPU that has memory for this many bytes more."""
    if any(weight.device.type != "cpu" for weight in model.parameters()):
        return False
    return needed <= SHARE * free_memory()


def _weight(base: Any, dtype: torch.dtype) -> Tensor:
    """A copy of the matrix ``[n m]`` that a linear or 4-bit layer computes with."""
    from bitsandbytes.functional import dequantize_4bit

    weight: Tensor = base.weight.data
    if (state := getattr(base.weight, "quant_state", None)) is not None:
        weight = dequantize_4bit(weight, state)
    return weight.to(dtype, copy=True)


def _merged(layer: Any, base: Any, dtype: torch.dtype) -> Tensor:
    weight = _weight(base, dtype)
    for adapter in getattr(layer, "active_adapters", ()):
        weight += layer.get_delta_weight(adapter).to(dtype)
    return weight
