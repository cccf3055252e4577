"""Group-relative policy gradients: advantages within the samples of a study, and the distance from the first policy."""

from __future__ import annotations

import torch
from torch import Tensor

SAME = 1e-6
"""A group whose rewards deviate by less than this counts as equal."""


def group_advantages(rewards: Tensor, weights: Tensor) -> Tensor:
    """How much better each sample is than the others of its group.

    Each reward is normalised within its group to mean 0 and deviation 1, and then they are averaged with the weights
    (Liu et al. 2026, GDPO), so the weights mean the same whatever the ranges of the rewards. Where all samples of a
    group have the same reward, it is 0 for them.

    Args:
        rewards: ``[b s r]``: r rewards of each of s samples of b studies.
        weights: ``[r]``, >= 0, not all 0.

    Returns:
        ``[b s]``, with mean 0 in each group.
    """
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    deviation = centred.square().mean(dim=1, keepdim=True).sqrt()
    normalised = torch.where(deviation > SAME, centred / deviation.clamp(min=SAME), 0.0)
    return normalised @ (weights / weights.sum())


def kl_estimates(log_probability: Tensor, first: Tensor) -> Tensor:
    """Estimate the divergence of the policy from the first one at each sampled token, >= 0 (Schulman 2020, "k3").

    ``exp(q - p) - (q - p) - 1`` for log-probabilities p of the policy that drew the token and q of the first policy.
    Its mean over samples is KL(policy || first).

    Args:
        log_probability: ``[m]``, of the policy, with gradient.
        first: ``[m]``, of the first policy.
    """
    difference = first - log_probability
    return difference.exp() - difference - 1
