from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ammrg.networks.association_loss import association_loss


def loss_of(associations: Tensor, wanted: Tensor) -> Tensor:
    """The loss of associations ``[m h n]``."""
    return association_loss((associations.mean(dim=1) * wanted).sum(dim=-1), wanted.any(dim=1))


def test_it_is_the_logarithm_of_the_wanted_share_averaged_over_heads() -> None:
    found = torch.tensor([[[0.1, 0.2, 0.7], [0.3, 0.4, 0.3]], [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]])
    wanted = torch.tensor([[True, True, False], [False, True, False]])
    expected = -(math.log((0.3 + 0.7) / 2) + math.log(0.25)) / 2
    assert float(loss_of(found, wanted)) == pytest.approx(expected)


def test_a_state_that_wants_nothing_is_left_out() -> None:
    found = torch.rand(3, 2, 5).softmax(-1)
    wanted = torch.zeros(3, 5, dtype=torch.bool)
    assert float(loss_of(found, wanted)) == 0.0
    wanted[1, 2] = True
    assert float(loss_of(found, wanted)) == pytest.approx(-math.log(float(found[1, :, 2].mean())))
    assert float(loss_of(found[:0], wanted[:0])) == 0.0


def test_its_gradient_is_finite_where_nothing_wanted_is_recalled_yet() -> None:
    scores = torch.tensor([[[200.0, 0.0, -200.0]]], requires_grad=True)
    loss = loss_of(scores.softmax(-1), torch.tensor([[False, False, True]]))
    loss.backward()
    assert loss.isfinite()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()


def test_following_it_moves_the_weight_where_it_is_wanted() -> None:
    torch.manual_seed(0)
    scores = torch.randn(4, 3, 10, requires_grad=True)
    wanted = torch.rand(4, 10) < 0.3
    wanted[:, 0] = True
    optimizer = torch.optim.SGD([scores], lr=5.0)
    for _ in range(100):
        optimizer.zero_grad()
        loss_of(scores.softmax(-1), wanted).backward()
        optimizer.step()
    assert ((scores.softmax(-1).mean(1) * wanted).sum(-1) > 0.9).all()
