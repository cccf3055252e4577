"""Update steps as a dynamical system: fixed points, the early stop, and an energy that never rises."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from ammrg.networks.hopfield import HopfieldRetrieval
from tests.networks.hopfield_reference import data, make, randomised


def test_early_stop_does_not_depend_on_the_rest_of_the_batch() -> None:
    module = make(steps=6, tolerance=0.05, beta=1.0).double().eval()
    states, patterns = data(b=5, dtype=torch.float64)
    together = module(states, patterns).tokens
    alone = torch.cat([module(states[i : i + 1, j : j + 1], patterns).tokens for i in range(5) for j in range(4)])
    torch.testing.assert_close(together.flatten(0, 1), alone.flatten(0, 1), rtol=1e-12, atol=1e-12)
    never = copy.deepcopy(module)
    never.tolerance = 0.0
    assert not torch.allclose(never(states, patterns).tokens, together, rtol=1e-12), "the stop should have acted"


def tied(width: int, beta: float, steps: int) -> HopfieldRetrieval:
    """One head whose association space is the (normalised) pattern space itself."""
    module = HopfieldRetrieval(width, width, width, width, heads=1, beta=beta, dropout=0.0, steps=steps).double()
    with torch.no_grad():
        for weight in (module.query_weight, module.key_weight, module.value_weight):
            weight.copy_(torch.eye(width))
        module.out.weight.copy_(torch.eye(width))
    return module


def test_separated_patterns_are_fixed_points_at_large_beta_and_attract_what_is_near() -> None:
    torch.manual_seed(0)
    patterns = torch.randn(20, 64, dtype=torch.float64)
    stored = F.layer_norm(patterns, (64,))
    module = tied(64, beta=4.0, steps=3).eval()
    torch.testing.assert_close(module(patterns[None], patterns).tokens[0], stored, rtol=0, atol=1e-8)
    noisy = patterns + 0.5 * torch.randn_like(patterns)
    recalled = module(noisy[None], patterns)
    torch.testing.assert_close(recalled.tokens[0], stored, rtol=0, atol=1e-8)
    assert recalled.indices[0, :, 0].tolist() == list(range(20))
    # and a small beta gives the mean of the memory, whatever the state
    mean = tied(64, beta=1e-6, steps=0).eval()(noisy[None], patterns).tokens[0]
    torch.testing.assert_close(mean, stored.mean(0).expand_as(mean), rtol=0, atol=1e-3)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 2**31), st.floats(0.05, 8.0), st.booleans())
def test_energy_never_rises(seed: int, beta: float, masked: bool) -> None:
    torch.manual_seed(seed)
    module = HopfieldRetrieval(6, 8, 4, 5, heads=2, beta=beta, dropout=0.0, steps=1, tolerance=0.0).double()
    randomised(module, seed)
    states, patterns = torch.randn(2, 3, 6).double(), torch.randn(7, 8).double()
    mask = torch.rand(2, 7) < 0.7 if masked else None
    if mask is not None:
        mask[:, 0] = True
    energies = torch.stack([module.energy(states, patterns, mask, steps=steps) for steps in range(7)])
    assert bool((energies.diff(dim=0) <= 1e-9 * energies.abs().max()).all())


def test_energy_is_its_formula() -> None:
    module = make(steps=1).double()
    states, patterns = data(dtype=torch.float64)
    normalised = F.layer_norm(patterns, (10,))
    assert module.key_shift is not None
    assert module.key_bias is not None
    keys = torch.einsum("np,hap->hna", normalised * module.key_scale + module.key_shift, module.key_weight)
    keys = keys + module.key_bias[:, None]
    r = F.layer_norm(states, (6,), module.query_scale, module.query_shift)
    q = torch.einsum("bsd,had->bsha", r, module.query_weight) + module.query_bias
    beta = module.beta
    lse = (beta[:, None] * torch.einsum("bsha,hna->bshn", q, keys)).logsumexp(-1) / beta
    expected = -lse + q.square().sum(-1) / 2 + torch.tensor(12.0).double().log() / beta
    torch.testing.assert_close(module.energy(states, patterns), expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.floats(0.2, 4.0), st.integers(0, 2**31))
def test_an_update_step_with_a_bias_never_raises_the_energy(beta: float, seed: int) -> None:
    module = randomised(make(steps=1, beta=beta, tolerance=0.0).double(), seed)
    states, patterns = data(dtype=torch.float64)
    bias = 3 * torch.randn(len(patterns), dtype=torch.float64)
    energies = torch.stack([module.energy(states, patterns, steps=steps, bias=bias) for steps in range(4)])
    assert (energies.diff(dim=0) <= 1e-9).all()
    assert not torch.allclose(energies[0], module.energy(states, patterns), rtol=1e-3)
