"""The share of a probe's associations that falls on wanted patterns, without holding the associations.

For scores z, ``m = sum_wanted exp(z_i) / sum_all exp(z_i)`` and ``dm/dz_i = a_i (w_i - m)``, with a = softmax(z) and
w = 1 for wanted patterns, else 0. So the derivative by the probe, ``sum_i a_i (w_i - m) p_i``, has the size of the
probe, and is computed with the value, for as many probes at once as a CPU's cache holds. Autograd would write and read
all associations of a batch in main memory about ten times.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ammrg.networks.association import scores

NUMBERS_IN_CACHE = 2**18
"""Associations computed at once on a CPU (1 MiB in float32)."""


def association_mass(
    probes: Tensor, patterns: Tensor, mask: Tensor | None, wanted: Tensor, numbers_at_once: int
) -> Tensor:
    """Sum each probe's associations with wanted patterns.

    Args:
        probes: ``[b s h p]``, in the dtype of the patterns.
        patterns: normalised, ``[n p]``, without gradient.
        mask: bool ``[b n]``, True where a study may recall a pattern, at least one in each row; None: all may be
            recalled.
        wanted: bool ``[b n]``, the patterns of each study that count; a masked one counts 0.
        numbers_at_once: associations computed at once, on other devices than a CPU.

    Returns:
        ``[b s h]`` in [0, 1]. Only its first derivative by the probes exists.
    """
    return _Mass.apply(probes, patterns, mask, wanted, numbers_at_once)  # type: ignore[no-any-return,no-untyped-call]


class _Mass(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, probes: Tensor, patterns: Tensor, mask: Tensor | None, wanted: Tensor, numbers_at_once: int
    ) -> Tensor:
        at_once = NUMBERS_IN_CACHE if probes.device.type == "cpu" else numbers_at_once
        each = max(1, at_once // max(1, probes.shape[1] * probes.shape[2] * len(patterns)))
        mass, slopes = probes.new_empty(probes.shape[:3]), None
        if ctx.needs_input_grad[0]:
            slopes = torch.empty_like(probes)
        for start in range(0, len(probes), each):
            part = slice(start, start + each)
            odds = scores(probes[part], patterns, None if mask is None else mask[part])
            odds.sub_(odds.amax(dim=-1, keepdim=True)).exp_()
            total = odds.sum(dim=-1, keepdim=True)
            kept = odds * wanted[part, None, None]
            share = kept.sum(dim=-1, keepdim=True) / total
            mass[part] = share[..., 0]
            if slopes is not None:
                kept.addcmul_(odds, share, value=-1)
                slopes[part] = (kept.flatten(0, 2) @ patterns).view_as(slopes[part]).div_(total)
        ctx.save_for_backward(slopes)
        return mass

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, None, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return (None if slopes is None else slope[..., None] * slopes), None, None, None, None
