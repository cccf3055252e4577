"""Muon (Jordan et al. 2024), for matrices of equal shape together.

``torch.optim.Muon`` orthogonalises one matrix at a time in bfloat16, which a CPU without bfloat16 instructions
emulates: there its step took five times as long as the forward and backward pass of the small language model. Here
such a CPU computes in float32; one with the instructions takes half as long in bfloat16.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ammrg.networks.bf16_instructions import has_bf16_instructions

MOMENTUM = 0.95
POLYNOMIAL = (3.4445, -4.7750, 2.0315)
"""Coefficients a, b, c of one step x -> a x + b x^3 + c x^5, which drives singular values towards 1."""
STEPS = 5


class Muon(torch.optim.Optimizer):
    """Updates matrices with the orthogonalised Nesterov momentum of their gradients.

    The update has singular values of about 1 (between .7 and 1.2), and is scaled by ``sqrt(max(1, rows / columns))``.

    Args:
        matrices: parameters ``[m n]``.
        lr: learning rate, > 0.
        weight_decay: decoupled weight decay, >= 0.
    """

    def __init__(self, matrices: Iterable[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})
        self.dtype = torch.bfloat16 if has_bf16_instructions() else torch.float32

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step; parameters without a gradient stay as they are."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.shape].append(parameter)
            for (rows, columns), parameters in alike.items():
                moved = torch.stack([self._momentum(parameter) for parameter in parameters])
                updates = orthogonalised(moved.to(self.dtype)).to(moved.dtype)
                rate = group["lr"] * max(1.0, rows / columns) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-rate)

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        gradient = parameter.grad
        assert gradient is not None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        return gradient.lerp(state["momentum"].lerp_(gradient, 1 - MOMENTUM), MOMENTUM)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Apply :data:`STEPS` steps of :data:`POLYNOMIAL` to the singular values of matrices ``[k m n]``."""
    a, b, c = POLYNOMIAL
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / matrices.flatten(1).norm(dim=1).clamp(min=1e-7)[:, None, None]
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
