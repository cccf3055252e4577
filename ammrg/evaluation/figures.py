"""The form of a figure and its interval in tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def formatted(value: Any) -> str:
    """A number, or {value, low, high}, as text: ``0.846 [0.812, 0.880]``, ``0.610``, ``1,204``; ``-`` for None."""
    if isinstance(value, Mapping):
        if value.get("low") is None:
            return formatted(value.get("value"))
        return f"{value['value']:z.3f} [{value['low']:z.3f}, {value['high']:z.3f}]"
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:z.3f}"
