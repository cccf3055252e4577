"""The Hopfield layer as it is written down, and small layers and data to compare with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.networks.hopfield import HopfieldRetrieval


def reference(
    module: HopfieldRetrieval,
    states: Tensor,
    patterns: Tensor,
    mask: Tensor | None,
    drop: Callable[[Tensor], Tensor] = lambda a: a,
    bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The layer as it is written down: three affine norms, every pattern projected for every head, one study, head and
    state at a time, each state stopping by itself. Returns (tokens [b s o], associations [b s h n])."""
    m, beta = module, module.beta
    zero = torch.zeros((), dtype=states.dtype)
    key_shift = zero.expand(m.pattern_width) if m.key_shift is None else m.key_shift
    key_bias = zero.expand(m.heads, m.association_width) if m.key_bias is None else m.key_bias
    r = F.layer_norm(states, (m.state_width,), m.query_scale, m.query_shift)
    for_keys = F.layer_norm(patterns, (m.pattern_width,), m.key_scale, key_shift)
    for_values = F.layer_norm(patterns, (m.pattern_width,), m.value_scale, m.value_shift)
    b, s, _ = states.shape
    tokens, kept = [], []
    for i in range(b):
        for j in range(s):
            heads = []
            for h in range(m.heads):
                keys = F.linear(for_keys, m.key_weight[h], key_bias[h])
                values = F.linear(for_values, m.value_weight[h], m.value_bias[h])
                q = F.linear(r[i, j], m.query_weight[h], m.query_bias[h])

                def associate(q: Tensor, keys: Tensor = keys, h: int = h, i: int = i, j: int = j) -> Tensor:
                    scores = beta[h] * (keys @ q) + (zero if bias is None else bias[j, h])
                    return scores.softmax(0) if mask is None else scores.masked_fill(~mask[i], -torch.inf).softmax(0)

                for _ in range(m.steps):
                    new = associate(q) @ keys
                    still = bool((new - q).norm() <= m.tolerance)
                    q = new
                    if still:
                        break
                a = associate(q)
                kept.append(a)
                heads.append((a, values))
            a = drop(torch.stack([a for a, _ in heads]))
            read = torch.cat([a[h] @ values for h, (_, values) in enumerate(heads)])
            tokens.append(F.linear(read, m.out.weight, m.out.bias))
    return torch.stack(tokens).view(b, s, -1), torch.stack(kept).view(b, s, m.heads, -1)


def randomised(module: HopfieldRetrieval, seed: int) -> HopfieldRetrieval:
    """Every parameter away from its start, so that no bias or shift is 0 and no scale 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter += (0.1 if name == "log_beta" else 0.3) * noise.to(parameter.dtype)
    return module


def make(**changes: Any) -> HopfieldRetrieval:
    torch.manual_seed(0)
    settings_ = {"association_width": 8, "heads": 2, "dropout": 0.0} | changes
    return randomised(HopfieldRetrieval(6, 10, 5, **settings_), 1)


def data(b: int = 3, s: int = 4, n: int = 12, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return (
        torch.randn(b, s, 6, generator=generator, dtype=dtype),
        torch.randn(n, 10, generator=generator, dtype=dtype),
    )
