"""Retrieval in two steps, with an exact search and with searches that miss, against the association with everything."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ammrg.memory.candidates import Candidates, ExactSearch
from ammrg.networks.association import Recalled, Stored, layer_norm
from ammrg.networks.hopfield import HopfieldRetrieval
from ammrg.networks.two_step import recall_among


def make(heads: int = 2, **changes: Any) -> HopfieldRetrieval:
    torch.manual_seed(0)
    module = HopfieldRetrieval(6, 10, 5, 8, heads=heads, **{"dropout": 0.0, "beta": 1.0} | changes).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def data(b: int = 3, s: int = 4, n: int = 40) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    states = torch.randn(b, s, 6, generator=generator, dtype=torch.float64)
    patterns = torch.randn(n, 10, generator=generator, dtype=torch.float64)
    mask = torch.rand(b, n, generator=generator) < 0.8
    return states, patterns, mask


def gradients(loss: Tensor, module: HopfieldRetrieval, states: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [states, *module.parameters()]))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(1, 3), st.integers(0, 2), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2**31))
def test_with_every_pattern_a_candidate_it_is_the_whole_association(
    heads: int, steps: int, masked: bool, chunked: bool, biased: bool, seed: int
) -> None:
    module = make(heads, steps=steps)
    states, patterns, mask = data()
    torch.manual_seed(seed)
    states = (states + torch.randn_like(states)).requires_grad_()
    allowed = mask if masked else None
    two_steps = copy.copy(module)
    two_steps.numbers_at_once = heads * 40 * 10 * 2 if chunked else module.numbers_at_once
    bias = 2 * torch.randn(states.shape[1], heads, 40, dtype=torch.float64) if biased else None
    whole = module(states, patterns, allowed, k=4, bias=bias)
    found = two_steps(states, patterns, allowed, k=4, candidates=Candidates(ExactSearch(patterns), 40), bias=bias)
    torch.testing.assert_close(found.tokens, whole.tokens, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.weights, whole.weights, rtol=1e-10, atol=1e-10)
    assert torch.equal(found.indices, whole.indices)
    weigh = torch.randn_like(whole.tokens)
    for ours, theirs in zip(
        gradients((found.tokens * weigh).sum(), module, states),
        gradients((whole.tokens * weigh).sum(), module, states),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def explicit(probes: Tensor, patterns: Tensor, mask: Tensor, m: int, k: int) -> tuple[Tensor, Tensor]:
    """Pooled patterns and averaged weights, one state and head at a time, over its own m best."""
    b, s, h, _ = probes.shape
    pooled, weights = torch.zeros_like(probes), torch.zeros(b, s, len(patterns), dtype=probes.dtype)
    for i in range(b):
        for j in range(s):
            for head in range(h):
                scores = (patterns @ probes[i, j, head]).masked_fill(~mask[i], -torch.inf)
                best = scores.topk(m).indices
                a = scores[best].softmax(0)
                pooled[i, j, head] = a @ patterns[best]
                weights[i, j, best] += a / h
    return pooled, weights.topk(k).values


@pytest.mark.parametrize("m", [1, 3, 8])
def test_each_state_and_head_associates_with_its_own_best(m: int) -> None:
    _, patterns, mask = data()
    stored = Stored(patterns, layer_norm(patterns, 1e-5), torch.float64, 1e-5)
    probes = torch.randn(3, 4, 2, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    pooled, weights = explicit(probes, stored.block(0, 40), mask, m, k=2)
    for at_once in (2**20, 1):
        found = recall_among(probes, stored, mask, Candidates(ExactSearch(patterns), m), k=2, numbers_at_once=at_once)
        torch.testing.assert_close(found.pooled, pooled, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(found.weights, weights, rtol=1e-10, atol=1e-10)
        assert bool(mask[:, None].expand(-1, 4, -1).gather(-1, found.indices)[found.weights > 0].all())
    on_the_way = recall_among(probes, stored._replace(whole=None), mask, Candidates(ExactSearch(patterns), m), k=2)
    torch.testing.assert_close(on_the_way.pooled, pooled, rtol=1e-10, atol=1e-10)


def test_no_result_depends_on_the_rest_of_the_batch() -> None:
    module, (states, patterns, mask) = make().eval(), data()
    mask[0, 10:] = False  # one study may recall next to nothing: the search has to ask for more
    candidates = Candidates(ExactSearch(patterns), 5)
    together = module(states, patterns, mask, candidates=candidates).tokens
    alone = torch.cat(
        [module(states[i : i + 1], patterns, mask[i : i + 1], candidates=candidates).tokens for i in (0, 1, 2)]
    )
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)


def test_dropout_drops_candidates_and_their_share_of_the_value_bias() -> None:
    _, patterns, _ = data()
    stored = Stored(patterns, layer_norm(patterns, 1e-5), torch.float64, 1e-5)
    probes = torch.randn(2, 3, 2, 10, dtype=torch.float64)
    torch.manual_seed(5)
    found = recall_among(probes, stored, None, Candidates(ExactSearch(patterns), 6), k=3, dropout=0.5)
    assert isinstance(found, Recalled)
    assert not torch.allclose(found.total, torch.ones_like(found.total))
    torch.testing.assert_close(
        found.weights, recall_among(probes, stored, None, Candidates(ExactSearch(patterns), 6), k=3).weights
    )


def test_a_search_that_finds_nothing_gives_zeros_and_no_nan() -> None:
    module, (states, patterns, _) = make().train(), data()
    states.requires_grad_()
    nothing = Candidates(lambda probes, count: torch.full((len(probes), count), -1), 4)
    found = module(states, patterns, candidates=nothing)
    torch.testing.assert_close(found.tokens, module.out.bias.expand_as(found.tokens))
    assert bool((found.weights == 0).all())
    found.tokens.sum().backward()
    assert bool(states.grad.isfinite().all())  # type: ignore[union-attr]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("steps", "per_state"), [(0, 5), (2, 5), (0, 40)])
def test_associations_are_those_that_are_recalled_with(steps: int, per_state: int, chunked: bool) -> None:
    """Averaged over heads they are what the retrieval reports; each head's candidates share it, and nothing else."""
    module = make(2, steps=steps)
    states, patterns, mask = data()
    mask[1] = False
    candidates = Candidates(ExactSearch(patterns), per_state)
    limit = module.numbers_at_once
    if chunked:
        module.numbers_at_once = 2 * 40 * 10 * 2
    found = module.associations(states, patterns, mask, candidates)
    module.numbers_at_once = limit
    assert found.shape == (3, 4, 2, 40)
    assert ((found > 0).sum(-1) <= per_state).all()
    sums = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)[:, None, None].expand(3, 4, 2)
    torch.testing.assert_close(found.sum(-1), sums)
    reported = module(states, patterns, mask, k=40, candidates=candidates)
    expected = torch.zeros(3, 4, 40, dtype=torch.float64).scatter_add(-1, reported.indices, reported.weights)
    torch.testing.assert_close(found.mean(2), expected)
    whole = module.associations(states, patterns, mask)
    if per_state == 40:
        torch.testing.assert_close(found, whole)
    elif steps == 0:  # by hand: the strongest of all, and what they have shared anew
        best = whole.topk(per_state, dim=-1)
        shares = best.values / best.values.sum(-1, keepdim=True)
        by_hand = torch.zeros_like(whole).scatter(-1, best.indices, shares)
        torch.testing.assert_close(found[[0, 2]], by_hand[[0, 2]])


def test_associations_among_candidates_have_a_gradient() -> None:
    module = make(2)
    states, patterns, mask = data()
    states.requires_grad_()
    weigh = torch.randn(3, 4, 2, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    candidates = Candidates(ExactSearch(patterns), 40)
    whole = gradients_of((module.associations(states, patterns, mask) * weigh).sum(), module, states)
    module.numbers_at_once = 2 * 40 * 10 * 2  # computed again in the backward pass, in parts
    found = gradients_of((module.associations(states, patterns, mask, candidates) * weigh).sum(), module, states)
    for ours, theirs in zip(found, whole, strict=True):
        torch.testing.assert_close(ours, theirs)


def gradients_of(loss: Tensor, module: HopfieldRetrieval, states: Tensor) -> list[Tensor]:
    read = [states, module.query_weight, module.query_bias, module.key_weight, module.key_scale]
    return list(torch.autograd.grad(loss, read))
