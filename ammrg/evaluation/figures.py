"""A figure with its interval, as tables show it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def told(value: Any) -> str:
    """A number as the table shows it: ``.846 [.812, .880]``, ``.61``, ``1,204`` or ``-``."""
    if isinstance(value, Mapping):
        if value.get("low") is None:
            return told(value.get("value"))
        return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
