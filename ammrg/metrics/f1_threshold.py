"""A finding's threshold for the best F1, chosen on few studies.

The threshold with the best F1 of some hundred studies follows their chance: with twenty positives, one study more or
less moves it far. Instead the probabilities are calibrated on these studies by a logistic line (Platt 1999), and the
threshold has the best F1 that the calibrated probabilities expect (Lipton, Elkan and Narayanaswamy 2014). So every
study counts, not only those beside the threshold.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MARGIN = 1e-6
"""Probabilities are kept so far from 0 and 1 that they have log odds."""


def calibration(log_odds: Tensor, target: Tensor) -> tuple[float, float]:
    """Slope and offset of the line whose log odds explain the targets best.

    Both have a normal prior of variance 1 around those that change nothing, 1 and 0, so that a few studies change
    little. This takes the log odds of a network that was trained on them, which differ by 1 or more between studies;
    where all differ by hundredths, the line stays too flat.

    Args:
        log_odds: float64 ``[n]``.
        target: float64 ``[n]``, 0 or 1.
    """
    with torch.inference_mode(False), torch.enable_grad():
        log_odds, target = log_odds.clone(), target.clone()
        unchanged = torch.tensor([1.0, 0.0], dtype=torch.float64)
        line = unchanged.clone().requires_grad_()
        search = torch.optim.LBFGS([line], max_iter=100, tolerance_change=1e-12, line_search_fn="strong_wolfe")

        def loss() -> Tensor:
            search.zero_grad()
            fit = F.binary_cross_entropy_with_logits(line[0] * log_odds + line[1], target, reduction="sum")
            value = fit + (line - unchanged).square().sum() / 2
            value.backward()  # type: ignore[no-untyped-call]
            return value

        search.step(loss)  # type: ignore[no-untyped-call]
    slope, offset = line.tolist()
    return slope, offset


def f1_threshold(probabilities: Tensor, target: Tensor) -> float:
    """The threshold for which ``p > threshold`` has the best expected F1, 2 E[TP] / (called + E[positives]).

    It is midway between two neighbouring probabilities, the lowest one of which is 0 if all are called.

    Args:
        probabilities: ``[n]``, in [0, 1].
        target: ``[n]``, 0 or 1.
    """
    log_odds = probabilities.detach().cpu().double().logit(MARGIN)
    slope, offset = calibration(log_odds, target.cpu().double())
    likely = (slope * log_odds + offset).sigmoid()
    values, group, size = torch.unique(probabilities.detach().cpu(), return_inverse=True, return_counts=True)
    held = torch.zeros(len(values), dtype=torch.float64).index_add(0, group, likely)
    true = held.flip(0).cumsum(0).flip(0)  # expected true positives if this value and all above are called positive
    called = size.flip(0).cumsum(0).flip(0)
    best = int((2 * true / (called + likely.sum())).argmax())
    return between(values[best - 1] if best else torch.zeros(()), values[best])


def between(below: Tensor, value: Tensor) -> float:
    """A threshold, as float32, that a value is above and a smaller one is not: midway, if floats lie between them."""
    middle = ((below.double() + value.double()) / 2).float()
    return float(middle if middle < value else below)
