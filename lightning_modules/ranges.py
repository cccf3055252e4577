"""Numbers among a module's settings that must lie in a range, looked at before anything is built."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ammrg.errors import SettingsError


def check_ranges(
    settings: Mapping[str, Any],
    above_zero: Iterable[str] = (),
    not_negative: Iterable[str] = (),
    shares: Iterable[str] = (),
) -> None:
    """Refuse numbers out of range, infinite ones among them; None stands for a part that is off.

    Args:
        settings: a module's arguments, by name.
        above_zero, not_negative, shares: names of those that must be > 0, >= 0, and in [0, 1].

    Raises:
        SettingsError: names the first that is not.
    """
    for name in above_zero:
        if settings[name] is not None and not 0 < settings[name] < math.inf:
            raise SettingsError(f"model.{name} ({settings[name]}) must be above 0 and finite")
    for name in not_negative:
        if settings[name] is not None and not 0 <= settings[name] < math.inf:
            raise SettingsError(f"model.{name} ({settings[name]}) must not be negative or infinite")
    for name in shares:
        if settings[name] is not None and not 0 <= settings[name] <= 1:
            raise SettingsError(f"model.{name} ({settings[name]}) must lie between 0 and 1")
