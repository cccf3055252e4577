"""The mass on wanted patterns, and its gradient, against autograd through all associations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ammrg.networks import association_mass
from tests.networks.hopfield_reference import data, make


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    steps=st.integers(0, 2),
    masked=st.booleans(),
    at_once=st.sampled_from([1, 40, 2**18]),
)
def test_it_is_the_sum_of_the_associations_and_has_their_gradient(
    seed: int, steps: int, masked: bool, at_once: int
) -> None:
    torch.manual_seed(seed)
    module = make(steps=steps).double()
    states, patterns = data(dtype=torch.float64)
    wanted = torch.rand(len(states), len(patterns)) < 0.4
    mask = torch.rand(wanted.shape) < 0.6 if masked else None
    if mask is not None:
        mask[0] = False  # a study that may recall nothing
    weights = torch.rand(len(states), states.shape[1], module.heads, dtype=states.dtype)
    states.requires_grad_()
    inputs = [states, *(parameter for parameter in module.parameters())]
    expected = (module.associations(states, patterns, mask) * wanted[:, None, None]).sum(dim=-1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(association_mass, "NUMBERS_IN_CACHE", at_once)
        found = module.mass(states, patterns, wanted, mask)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    ours = torch.autograd.grad((found * weights).sum(), inputs, allow_unused=True)
    theirs = torch.autograd.grad((expected * weights).sum(), inputs, allow_unused=True)
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-10)
