"""The association loss: an auxiliary loss that makes a state associate with the patterns that it should recall."""

from __future__ import annotations

import torch
from torch import Tensor


def association_loss(mass: Tensor, known: Tensor) -> Tensor:
    """Average ``-log mass`` over states.

    The mass is the probability that a pattern drawn by the state's associations is one that it should recall (as in
    neighbourhood components analysis, Goldberger et al. 2004).

    Args:
        mass: ``[m]``, for each state the sum of its associations with the patterns that it should recall, averaged over
            heads, as in the associations that are reported.
        known: bool ``[m]``, False for a state that should recall nothing; it is left out.

    Returns:
        A scalar; 0 where no state is left.
    """
    # The logarithm of 0 has no useful gradient. The limit is far below any sum that matters.
    losses = -mass.clamp(min=torch.finfo(torch.float32).tiny).log()
    return (losses * known).sum() / known.sum().clamp(min=1)
