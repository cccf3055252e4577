"""An auxiliary loss: what a query associates with shall be regions of its own finding."""

from __future__ import annotations

import torch
from torch import Tensor


def association_loss(associations: Tensor, wanted: Tensor) -> Tensor:
    """Mean over states of ``-log sum_i a_i`` over the patterns a state should recall: the likelihood that a pattern
    drawn by its associations is one of them, whichever (as in neighbourhood components analysis, Goldberger et al.
    2004).

    Args:
        associations: ``[m h n]`` of m states, over n a distribution for each head; heads are averaged, as in what is
            reported with it. Masked patterns have 0.
        wanted: bool ``[m n]``; a state that wants nothing (no such pattern is stored) is left out.

    Returns:
        A scalar, 0 where no state wants anything.
    """
    mass = (associations.mean(dim=1) * wanted).sum(dim=-1)  # [m]
    known = wanted.any(dim=-1)
    # far above rounding, far below any share worth telling apart: the logarithm of 0 has no gradient to follow
    losses = -mass.clamp(min=torch.finfo(torch.float32).tiny).log()
    return (losses * known).sum() / known.sum().clamp(min=1)
