"""Where on a film the tokens of a backbone are centred, measured: the backbone is shown coordinates, and says which
ones each token reads.

It runs as it is, with its own order, strides and padding, but every operation does no more than pass on the middle of
what it reads: a convolution the middle of its kernel, a linear map the mean of its inputs, norms and activations all
they are given. So what arrives is the place a token is centred on, whatever the weights. Attention looks for its places
by content: it adds nothing here, and a token stays where the layers around it put it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_KEEP = {
    *(F.layer_norm, F.batch_norm, F.group_norm, F.instance_norm, F.rms_norm),
    *(torch.layer_norm, torch.batch_norm, torch.group_norm, torch.instance_norm, torch.rms_norm),
    *(F.relu, torch.relu, torch.relu_, Tensor.relu, F.relu6, F.hardtanh, F.leaky_relu, F.elu),
    *(F.gelu, F.silu, F.mish, F.hardswish, F.softplus),
}
"""Norms and activations."""
_OPEN = {
    *(torch.sigmoid, F.sigmoid, Tensor.sigmoid, F.hardsigmoid, torch.tanh, F.tanh, Tensor.tanh),
    *(torch.erf, Tensor.erf),
}
"""Gates, in layers of their own and in activations that are written out."""
_SILENT = {F.softmax, torch.softmax, Tensor.softmax, F.scaled_dot_product_attention}
"""Attention."""


def token_centres(
    backbone: nn.Module, tokens: Callable[[Callable[..., Any], Tensor], tuple[Tensor, tuple[int, int]]], film: Tensor
) -> Tensor:
    """The places that the tokens of a film are centred on.

    Args:
        backbone: in eval mode; stays as it is.
        tokens: how it is run: (what is called in its place, films ``[v c h w]``) -> tokens ``[v n e]`` and their grid.
        film: ``[1 c h w]``, of the shape, dtype and device it reads.

    Returns:
        ``[gh gw 2]`` (x, y) in pixels from the film's corner: 0.5 is the middle of its first. NaN where no place is
        passed on, or not as a place (a layer that multiplies what it reads).
    """
    high, wide = film.shape[-2:]
    down, right = (torch.arange(side, dtype=film.dtype, device=film.device) + 0.5 for side in (high, wide))
    x, y = right.expand(high, wide), down[:, None].expand(high, wide)
    one = torch.ones_like(x)
    shown = torch.stack([x, y, one, x + y, one - one])[:, None].repeat(1, film.shape[1], 1, 1)
    without_weights = {name: p.new_zeros(()).expand(p.shape) for name, p in backbone.named_parameters()}

    def run(**inputs: Any) -> Any:
        return functional_call(backbone, without_weights, kwargs=inputs)

    with torch.no_grad(), _Middles():
        seen, grid = tokens(run, shown)
    seen = seen.double().mean(-1)
    x, y, one, both = seen[:4] - seen[4]
    whole = torch.isclose(x + y, both, rtol=1e-3)
    places = torch.where(whole[:, None], torch.stack([x, y], dim=-1) / one[:, None], torch.nan)
    return places.view(*grid, 2)


def cell_shift(centres: Tensor, high: int, wide: int) -> float:
    """By how many cells, right and down, tokens are centred from the middle of their cells, at the middle of the film.

    Args:
        centres: ``[gh gw 2]`` of :func:`token_centres`. high, wide: of the film, in pixels.

    Returns:
        A 1024th of a cell exact; 0 where it could not be measured.
    """
    rows, columns = centres.shape[:2]
    x, y = centres[rows // 2, columns // 2].tolist()
    shift = (x / wide * columns - columns // 2 - 0.5 + y / high * rows - rows // 2 - 0.5) / 2
    return round(shift * 1024) / 1024 if math.isfinite(shift) else 0.0


class _Middles(TorchFunctionMode):
    """Operations pass on the middle of what they read."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _KEEP:
            return args[0]
        if func in _OPEN:
            return torch.ones_like(args[0])
        if func in _SILENT:
            return torch.zeros_like(args[0])
        if func is F.linear:
            return _linear(*args, **kwargs)
        if func is F.conv2d:
            return _convolution(*args, **kwargs)
        if func in (F.max_pool2d, torch.max_pool2d):
            # Of coordinates that rise over the window: half way between its last and its first.
            return (func(*args, **kwargs) - func(-args[0], *args[1:], **kwargs)) / 2
        return func(*args, **kwargs)


def _linear(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return inputs.mean(-1, keepdim=True).expand(*inputs.shape[:-1], len(weight)).contiguous()


def _convolution(
    inputs: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    middle = torch.outer(*(_middle(size, inputs) for size in weight.shape[-2:]))
    seen = torch.conv2d(inputs.mean(1, keepdim=True), middle[None, None], None, stride, padding, dilation)
    return seen.expand(-1, len(weight), -1, -1).contiguous()


def _middle(size: int, like: Tensor) -> Tensor:
    """1 at the middle of a kernel; halved over the two of an even one."""
    kernel = like.new_zeros(size)
    kernel[(size - 1) // 2 : size // 2 + 1] = 1 / (2 - size % 2)
    return kernel
