"""The rule for when a finding counts as predicted, shared by prompts, mining, scores, maps and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, overload

if TYPE_CHECKING:
    from torch import Tensor

MOST_DECIMALS = 17
"""Decimals that are enough for the difference of any two float32 in [1e-9, 1]."""


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


class Figures(NamedTuple):
    """A probability and its threshold as a person reads them."""

    probability: str
    threshold: str


def figures(probability: float, threshold: float, least: int = 2) -> Figures:
    """Write a probability and its threshold with as many decimals as tell which of them is greater.

    Args:
        probability: in [0, 1].
        threshold: in [0, 1], or inf.
        least: fewest decimals.
    """

    def order(digits: int) -> tuple[bool, bool]:
        first, second = round(probability, digits), round(threshold, digits)
        return first > second, first < second

    digits = next(digits for digits in range(least, MOST_DECIMALS + 1) if order(digits) == order(MOST_DECIMALS))
    return Figures(f"{probability:.{digits}f}", f"{threshold:.{digits}f}")


def rounded(probability: float, threshold: float, digits: int = 5) -> float:
    """Round a probability for a file, to more than ``digits`` digits if it would cross its threshold otherwise."""
    present = is_predicted(probability, threshold)
    return next(
        (near for more in range(digits, 18) if is_predicted(near := round(probability, more), threshold) == present),
        probability,
    )
