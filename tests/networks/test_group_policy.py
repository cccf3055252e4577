"""Advantages within a group, and the estimate of the divergence, worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from ammrg.networks.group_policy import group_advantages, kl_estimates


def test_one_reward_by_hand() -> None:
    found = group_advantages(torch.tensor([[[1.0], [3.0]], [[0.2], [0.2]]]), torch.tensor([2.0]))
    assert found.tolist() == [[-1.0, 1.0], [0.0, 0.0]]


def test_each_reward_is_normalised_by_itself() -> None:
    """CIDEr reaches 10 and F1 only 1, but their weights decide."""
    rewards = torch.tensor([[[0.0, 1.0], [10.0, 0.0]]])
    assert group_advantages(rewards, torch.tensor([1.0, 1.0])).tolist() == [[0.0, 0.0]]
    assert group_advantages(rewards, torch.tensor([1.0, 3.0])).tolist() == [[0.5, -0.5]]


def test_advantages_have_mean_0_and_deviation_1_in_each_group() -> None:
    rewards = torch.rand(5, 8, 1, generator=torch.Generator().manual_seed(0))
    found = group_advantages(rewards, torch.ones(1))
    torch.testing.assert_close(found.mean(dim=1), torch.zeros(5), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.square().mean(dim=1), torch.ones(5))
    assert torch.equal(found.argsort(dim=1), rewards[..., 0].argsort(dim=1))


def test_the_divergence_is_0_where_nothing_changed_and_positive_elsewhere() -> None:
    same = torch.tensor([-1.0, -2.0])
    assert kl_estimates(same, same).tolist() == [0.0, 0.0]
    found = kl_estimates(torch.tensor([math.log(0.5)]), torch.tensor([math.log(0.25)]))
    assert float(found) == pytest.approx(0.5 - math.log(0.5) - 1)


def test_its_mean_under_the_policy_is_the_divergence() -> None:
    policy, first = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])
    expected = float((policy * (policy / first).log()).sum())
    assert float((policy * kl_estimates(policy.log(), first.log())).sum()) == pytest.approx(expected, rel=1e-5)
