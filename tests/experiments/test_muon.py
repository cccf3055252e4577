"""Muon against its definition by singular values, and against torch's in bfloat16."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from experiments.language_models.muon import MOMENTUM, POLYNOMIAL, STEPS, Muon, orthogonalised

SHAPES = ((6, 6), (12, 4), (4, 12), (6, 6))


def by_singular_values(matrix: Tensor) -> Tensor:
    """The polynomial applied to the singular values one by one."""
    a, b, c = POLYNOMIAL
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    s = s / matrix.norm()
    for _ in range(STEPS):
        s = a * s + b * s**3 + c * s**5
    return u @ torch.diag(s) @ v


@pytest.mark.parametrize("shape", SHAPES)
def test_it_acts_on_singular_values_alone(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, *shape, dtype=torch.float64)
    expected = torch.stack([by_singular_values(matrix) for matrix in matrices])
    torch.testing.assert_close(orthogonalised(matrices), expected)
    sizes = torch.linalg.svdvals(orthogonalised(matrices))
    assert 0.6 < float(sizes.min()) <= float(sizes.max()) < 1.3


def test_a_gradient_of_zeros_moves_nothing_but_the_decay() -> None:
    parameter = nn.Parameter(torch.ones(3, 3))
    parameter.grad = torch.zeros(3, 3)
    Muon([parameter], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(parameter.detach(), torch.full((3, 3), 0.95))


def test_a_step_is_torchs_up_to_its_bfloat16() -> None:
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(*shape)) for shape in SHAPES]
    theirs = [nn.Parameter(parameter.detach().clone()) for parameter in ours]
    idle = nn.Parameter(torch.ones(2, 2))  # without a gradient
    start = [parameter.detach().clone() for parameter in ours]
    mine = Muon([*ours, idle], lr=0.02, weight_decay=0.1)
    other = torch.optim.Muon(theirs, lr=0.02, weight_decay=0.1, momentum=MOMENTUM)
    for _ in range(3):
        for one, two in zip(ours, theirs, strict=True):
            one.grad = torch.randn_like(one)
            two.grad = one.grad.clone()
        mine.step()
        other.step()
    for one, two, before in zip(ours, theirs, start, strict=True):
        moved, expected = one.detach() - before, two.detach() - before
        assert float((moved - expected).norm() / expected.norm()) < 0.02
    assert torch.equal(idle.detach(), torch.ones(2, 2))
