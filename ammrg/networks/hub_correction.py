"""Correction of hubs: stored patterns that nearly every study recalls.

In high dimensions some patterns are the nearest neighbours of very many queries (hubs; Radovanovic et al., JMLR 2010).
In a memory of reports the typical normal report becomes one. Dividing a pattern's associations by a power of their mean
over many queries makes room for the others (inverted softmax, Smith et al., ICLR 2017; query bank normalisation,
Bogolin et al., CVPR 2022). Here the queries are those of the training studies.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ammrg.gathering import mean_over_processes

MOMENTUM = 0.99
"""Share of the running mean that a training step keeps: it averages over about the last hundred steps."""


class HubCorrection(nn.Module):
    """Lowers the scores of patterns by ``strength`` times the logarithm of their mean association in training.

    Args:
        patterns: n, number of stored patterns.
        strength: exponent > 0 by which associations are divided; with 1, all patterns would be recalled about equally
            often.
    """

    usage: Tensor
    """float32 ``[n]``: each pattern's mean association over training studies, states and heads; sums to 1."""

    def __init__(self, patterns: int, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.register_buffer("usage", torch.full((patterns,), 1 / patterns))

    @property
    def bias(self) -> Tensor:
        """What is added to the score of each pattern, ``[n]``; 0 for a pattern that is used as much as the mean one."""
        share = self.usage * len(self.usage)
        # A pattern that is hardly ever recalled gets at most the bias of a thousandth of the mean.
        return -self.strength * share.clamp(min=1e-3).log()

    @torch.no_grad()
    def observe(self, associations: Tensor) -> None:
        """Update the running mean with the uncorrected associations ``[b s h n]`` of b training studies.

        All processes of a distributed run must call this together.
        """
        seen = mean_over_processes(associations.flatten(0, -2).mean(dim=0).float())
        self.usage.lerp_(seen, 1 - MOMENTUM)
