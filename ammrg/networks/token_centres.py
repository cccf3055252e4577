"""Token centres: the places on a film that a backbone's tokens are centred on, measured with films of coordinates.

The backbone is given films whose pixels are their own coordinates. It runs with its own order, strides and padding, but
every operation only passes on the middle of its input: a convolution the middle of its kernel, a linear map the mean of
its inputs, norms and activations their input unchanged. So the output is the place that a token is centred on, whatever
the weights. Attention chooses places by content: here it adds nothing, so only the other layers decide the place of a
token.
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
"""Norms and activations; here they return their input."""
_OPEN = {
    *(torch.sigmoid, F.sigmoid, Tensor.sigmoid, F.hardsigmoid, torch.tanh, F.tanh, Tensor.tanh),
    *(torch.erf, Tensor.erf),
}
"""Functions of gates, both as layers and inside activations; here they let everything pass."""
_SILENT = {F.softmax, torch.softmax, Tensor.softmax, F.scaled_dot_product_attention}
"""Functions of attention; here they give zero."""


def token_centres(
    backbone: nn.Module, tokens: Callable[[Callable[..., Any], Tensor], tuple[Tensor, tuple[int, int]]], film: Tensor
) -> Tensor:
    """Measure the places that the tokens of a film are centred on.

    Args:
        backbone: in eval mode; not changed.
        tokens: runs it: (a callable to use instead of the backbone, films ``[v c h w]``) -> tokens ``[v n e]`` and
            their grid.
        film: ``[1 c h w]``, with the shape, dtype and device that the backbone reads.

    Returns:
        ``[gh gw 2]``: (x, y) in pixels from the film's corner; 0.5 is the middle of the first pixel. NaN where a layer
        does not pass on places (for instance one that multiplies its inputs).
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
    """Compute how far a token's centre is from the middle of its cell, to the right and down, at the film's middle.

    Args:
        centres: ``[gh gw 2]`` from :func:`token_centres`.
        high: height of the film in pixels.
        wide: width of the film in pixels.

    Returns:
        The mean of both directions in cells, rounded to 1/1024 of a cell; 0 where it could not be measured, as for a
        network that is built on the device ``meta`` to count its operations.
    """
    if centres.is_meta:
        return 0.0
    rows, columns = centres.shape[:2]
    x, y = centres[rows // 2, columns // 2].tolist()
    shift = (x / wide * columns - columns // 2 - 0.5 + y / high * rows - rows // 2 - 0.5) / 2
    return round(shift * 1024) / 1024 if math.isfinite(shift) else 0.0


class _Middles(TorchFunctionMode):
    """A mode in which every operation only passes on the middle of its input."""

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
            # Coordinates rise over the window, so its middle is half way between its maximum and its minimum.
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
    """Make a kernel with 1 at its middle, or 1/2 at both middle places where its size is even."""
    kernel = like.new_zeros(size)
    kernel[(size - 1) // 2 : size // 2 + 1] = 1 / (2 - size % 2)
    return kernel
