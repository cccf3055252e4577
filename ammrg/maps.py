"""A test of whether a finding's map shows a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FLAT = 1e-5
"""A map whose values differ by at most this share of its largest absolute value is constant, up to rounding."""


def shows_place(maps: Tensor) -> Tensor:
    """Tell which maps show a place.

    A map that is zero, or constant up to rounding (:data:`FLAT`), does not: its peak would be the first cell in reading
    order. Nor does a map with NaN or infinity.

    Args:
        maps: ``[.. gh gw]``.

    Returns:
        bool ``[..]``.
    """
    values = maps.flatten(-2)
    low, high = values.aminmax(dim=-1)
    return low.isfinite() & high.isfinite() & (high - low > FLAT * values.abs().amax(dim=-1))
