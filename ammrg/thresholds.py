"""The rule for when a finding counts as predicted, shared by prompts, mining, scores, maps and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from torch import Tensor


@overload
def is_predicted(probabilities: Tensor, thresholds: Tensor | float) -> Tensor: ...


@overload
def is_predicted(probabilities: float, thresholds: float) -> bool: ...


def is_predicted(probabilities: Tensor | float, thresholds: Tensor | float) -> Tensor | bool:
    """Tell whether a probability is above its threshold. One that equals its threshold is not, nor is NaN.

    Args:
        probabilities: in [0, 1], float32 (rounded to fewer bits, a probability may cross its threshold).
        thresholds: in [0, 1], or inf for a finding that is never predicted; broadcast against the probabilities.
    """
    return probabilities > thresholds


def rounded(probability: float, threshold: float, digits: int = 5) -> float:
    """Round a probability for a file, to more than ``digits`` digits if it would cross its threshold otherwise."""
    present = is_predicted(probability, threshold)
    return next(
        (near for more in range(digits, 18) if is_predicted(near := round(probability, more), threshold) == present),
        probability,
    )
