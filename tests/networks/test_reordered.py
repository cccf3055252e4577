"""Matrices in oneDNN's order: the product and its gradient are those of ``F.linear``."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from ammrg.networks import reordered
from ammrg.networks.reordered import reordered_linear, reorders


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("n", "m"), [(96, 64), (7, 33), (1, 5)])
def test_product_and_gradient_are_those_of_a_linear_layer(n: int, m: int, biased: bool) -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(n, m).bfloat16(), torch.randn(n).bfloat16() if biased else None
    linear = reordered_linear(weight, bias)
    for shape in ((1, 1), (2, 5), (3,), (0,)):
        x = torch.randn(*shape, m).bfloat16()
        ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
        expected = F.linear(theirs, weight, bias)
        found = linear(ours)
        torch.testing.assert_close(found, expected, rtol=0.02, atol=0.05)
        with torch.inference_mode():
            assert torch.equal(linear(x), found)
        slope = torch.randn_like(expected)
        found.backward(slope)  # type: ignore[no-untyped-call]
        expected.backward(slope)  # type: ignore[no-untyped-call]
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=0.02, atol=0.05)


def test_only_bfloat16_on_a_cpu_with_its_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    for able in (True, False):
        monkeypatch.setattr(reordered, "has_bf16_instructions", lambda able=able: able)
        assert reorders(torch.bfloat16) == able
        assert not reorders(torch.float32)
