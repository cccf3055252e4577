"""Whether a map of a finding says where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FLAT = 1e-5
"""A map whose values differ by less than this share of the largest is the same everywhere, but for rounding."""


def shows_place(maps: Tensor) -> Tensor:
    """Which of maps ``[.. gh gw]`` say where something is, bool ``[..]``: not those that are zero or the same
    everywhere but for rounding (:data:`FLAT`), whose peaks would be the first cells in reading order, nor those with
    NaN or infinity."""
    values = maps.flatten(-2)
    low, high = values.aminmax(dim=-1)
    return low.isfinite() & high.isfinite() & (high - low > FLAT * values.abs().amax(dim=-1))
