"""Dropout of associations: what it drops, when it acts, and that a recomputed block draws the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ammrg.networks import association
from tests.networks.hopfield_reference import data, make, reference


def test_dropped_associations_drop_their_share_of_the_value_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    module = make(dropout=0.5, steps=1).double().train()  # update steps are not dropped from
    states, patterns = data(dtype=torch.float64)
    keep = (torch.rand(3, 4, 2, 12, dtype=torch.float64) < 0.5) * 2.0

    def fixed_dropout(x: Tensor, p: float) -> Tensor:
        assert p == 0.5
        return x * keep.view_as(x)

    rows = iter(keep.flatten(0, 1))
    tokens, associations = reference(module, states, patterns, None, drop=lambda a: a * next(rows))
    monkeypatch.setattr(association.F, "dropout", fixed_dropout)
    ours = module(states, patterns)
    torch.testing.assert_close(ours.tokens, tokens, rtol=1e-10, atol=1e-10)
    # what is reported is what was associated, not what the dice left of it
    torch.testing.assert_close(ours.weights, associations.mean(2).topk(5).values, rtol=1e-10, atol=1e-10)


def test_dropout_acts_in_training_alone() -> None:
    module, (states, patterns) = make(dropout=0.5), data()
    module.train()
    assert not torch.equal(module(states, patterns).tokens, module(states, patterns).tokens)
    module.eval()
    torch.testing.assert_close(module(states, patterns).tokens, reference(module, states, patterns, None)[0])


def test_recomputed_blocks_draw_the_same_dropout_in_the_backward_pass() -> None:
    module = make(dropout=0.4, numbers_at_once=3 * 4 * 2 * 5, steps=1).double().train()
    states, patterns = data(dtype=torch.float64)
    direction = torch.randn_like(states)

    def loss(shift: float) -> Tensor:
        torch.manual_seed(11)
        return module(states + shift * direction, patterns).tokens.square().sum()

    states.requires_grad_()
    (slope,) = torch.autograd.grad(loss(0.0), states)
    states.requires_grad_(False)
    numeric = (loss(1e-5) - loss(-1e-5)) / 2e-5
    torch.testing.assert_close((slope * direction).sum(), numeric, rtol=1e-6, atol=1e-6)
