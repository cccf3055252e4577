"""The association loss: an auxiliary loss that makes each query associate with regions of its own finding."""

from __future__ import annotations

import torch
from torch import Tensor


def association_loss(associations: Tensor, wanted: Tensor) -> Tensor:
    """Average over states ``-log sum_i a_i``, where i runs over the patterns that a state should recall.

    ``sum_i a_i`` is the probability that a pattern drawn by the state's associations is one of them (as in
    neighbourhood components analysis, Goldberger et al. 2004).

    Args:
        associations: ``[m h n]`` of m states: for each head, a distribution over n patterns, 0 for masked ones. Heads
            are averaged, as in the associations that are reported.
        wanted: bool ``[m n]``, the patterns that each state should recall. A state with no such pattern is left out.

    Returns:
        A scalar; 0 where no state is left.
    """
    mass = (associations.mean(dim=1) * wanted).sum(dim=-1)  # [m]
    known = wanted.any(dim=-1)
    # The logarithm of 0 has no useful gradient. The limit is far below any sum that matters.
    losses = -mass.clamp(min=torch.finfo(torch.float32).tiny).log()
    return (losses * known).sum() / known.sum().clamp(min=1)
