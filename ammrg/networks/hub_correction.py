"""Correction of hubs: stored patterns that nearly every study recalls.

In high dimensions some patterns are the nearest neighbours of very many queries (hubs; Radovanovic et al., JMLR 2010).
In a memory of reports the typical normal report becomes one. Dividing a pattern's associations by a power of their mean
over many queries makes room for the others (inverted softmax, Smith et al., ICLR 2017; query bank normalisation,
Bogolin et al., CVPR 2022). Here the queries are those of the training studies. Each state (one for each finding) and
head has hubs of its own, so each has its own mean.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

from ammrg.gathering import mean_over_processes

MOMENTUM = 0.99
"""Share of the running mean that a training step keeps: it averages over about the last hundred steps."""


class HubCorrection(nn.Module):
    """Lowers the scores of patterns by ``strength`` times the logarithm of their mean association in training.

    Studies may be withdrawn from a memory, or added to it, after training. So a saved usage belongs to patterns, not to
    rows: it is loaded by their keys, copy by copy where several studies have the same pattern. A pattern that was not
    there in training gets the mean usage.

    Args:
        patterns: the stored patterns ``[n p]``.
        states: number s of a study's states.
        heads: number h of heads.
        strength: exponent > 0 by which associations are divided; with 1, all patterns would be recalled about equally
            often.
    """

    usage: Tensor
    """float32 ``[s h n]``: each pattern's mean association over training studies; sums to 1 over n."""
    keys: Tensor
    """int64 ``[n]``: a hash of each pattern's content."""

    def __init__(self, patterns: Tensor, states: int, heads: int, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.register_buffer("usage", torch.full((states, heads, len(patterns)), 1 / len(patterns)))
        self.register_buffer("keys", _keys(patterns))

    @property
    def bias(self) -> Tensor:
        """What is added to scores, ``[s h n]``; 0 for a pattern that is used as much as the mean one."""
        share = self.usage * len(self.keys)
        # A pattern that is hardly ever recalled gets at most the bias of a thousandth of the mean.
        return -self.strength * share.clamp(min=1e-3).log()

    @torch.no_grad()
    def observe(self, associations: Tensor) -> None:
        """Update the running mean with the uncorrected associations ``[b s h n]`` of b training studies.

        All processes of a distributed run must call this together.
        """
        seen = mean_over_processes(associations.mean(dim=0).float())
        self.usage.lerp_(seen, 1 - MOMENTUM)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *further: Any) -> None:
        keys, usage = state_dict.get(f"{prefix}keys"), state_dict.get(f"{prefix}usage")
        if keys is not None and usage is not None:
            rows = {copy: row for row, copy in enumerate(_copies(keys))}
            found = [rows.get(copy, rows.get((copy[0], 0), len(rows))) for copy in _copies(self.keys)]
            usage = torch.cat([usage, usage.mean(dim=-1, keepdim=True)], dim=-1)
            ours = usage[..., found].expand_as(self.usage)  # once, all states and heads shared one usage [n]
            state_dict = {**state_dict, f"{prefix}keys": self.keys, f"{prefix}usage": ours}
        super()._load_from_state_dict(state_dict, prefix, *further)


def _keys(patterns: Tensor) -> Tensor:
    rows = patterns.detach().to("cpu", torch.float32).contiguous().numpy()
    digests = (hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in rows)
    return torch.tensor([int.from_bytes(digest, "little", signed=True) for digest in digests])


def _copies(keys: Tensor) -> list[tuple[int, int]]:
    """Pair each key with the number of its earlier occurrences."""
    seen: Counter[int] = Counter()
    copies = []
    for key in keys.tolist():
        copies.append((key, seen[key]))
        seen[key] += 1
    return copies
