"""Linear layers whose bfloat16 matrix oneDNN keeps in the order that its kernels read.

``F.linear`` brings a matrix in this order again in every call. For the few rows that a language model reads at a time
when it writes, that costs more than the product. Only CPUs with bfloat16 instructions gain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from ammrg.networks.bf16_instructions import has_bf16_instructions

Linear = Callable[[Tensor], Tensor]


def reorders(dtype: torch.dtype) -> bool:
    """Whether this CPU gains from matrices of this dtype in oneDNN's order."""
    return dtype == torch.bfloat16 and has_bf16_instructions()


def reordered_linear(weight: Tensor, bias: Tensor | None) -> Linear:
    """Make the linear map of a matrix ``[n m]`` and a bias ``[n]``, both bfloat16, which has gradients to its input.

    The map keeps its own copy of the matrix.
    """
    matrix = torch.ops.mkldnn._reorder_linear_weight(weight)

    def linear(x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad:
            return cast(Tensor, _WithGradient.apply(x, matrix, bias))  # type: ignore[no-untyped-call]
        return _product(x, matrix, bias)

    return linear


def _product(x: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x, matrix, bias, "none", [], ""))


class _WithGradient(torch.autograd.Function):
    """The product has no gradient of its own."""

    @staticmethod
    def forward(context: Any, x: Tensor, matrix: Tensor, bias: Tensor | None) -> Tensor:
        context.matrix = matrix
        return _product(x, matrix, bias)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient @ context.matrix.to_dense(), None, None
