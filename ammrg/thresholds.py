"""When a finding counts as predicted: the one rule that prompts, mining, scores, maps and pages share."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from torch import Tensor


@overload
def is_predicted(probabilities: Tensor, thresholds: Tensor | float) -> Tensor: ...


@overload
def is_predicted(probabilities: float, thresholds: float) -> bool: ...


def is_predicted(probabilities: Tensor | float, thresholds: Tensor | float) -> Tensor | bool:
    """True where a probability lies above its threshold; one that lies on it does not count, nor does NaN.

    Args:
        probabilities: in [0, 1], float32 (a probability rounded to fewer bits may fall on the other side).
        thresholds: in [0, 1], or inf for what is never predicted; broadcast against the probabilities.
    """
    return probabilities > thresholds
