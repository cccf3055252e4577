"""The check of numbers in settings: each must be in its range before anything is built."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ammrg.errors import SettingsError


def check_ranges(
    settings: Mapping[str, Any],
    *,
    root: str = "model",
    above_zero: Iterable[str] = (),
    not_negative: Iterable[str] = (),
    shares: Iterable[str] = (),
    counts: Mapping[str, str] | None = None,
) -> None:
    """Refuse numbers out of range. None passes: it means that a part is off.

    Args:
        settings: values by name.
        root: name of the group that the settings belong to, for the message.
        above_zero: names of values that must be > 0 and finite.
        not_negative: names of values that must be >= 0 and finite.
        shares: names of values that must be in [0, 1].
        counts: names of values that must be >= 1, each with its unit in the singular.

    Raises:
        SettingsError: a value is out of range; the message names the first one.
    """
    for name in above_zero:
        if settings[name] is not None and not 0 < settings[name] < math.inf:
            raise SettingsError(f"{root}.{name} ({settings[name]}) must be above 0 and finite")
    for name in not_negative:
        if settings[name] is not None and not 0 <= settings[name] < math.inf:
            raise SettingsError(f"{root}.{name} ({settings[name]}) must not be negative or infinite")
    for name in shares:
        if settings[name] is not None and not 0 <= settings[name] <= 1:
            raise SettingsError(f"{root}.{name} ({settings[name]}) must lie between 0 and 1")
    for name, unit in (counts or {}).items():
        if settings[name] is not None and settings[name] < 1:
            raise SettingsError(f"{root}.{name} ({settings[name]}) must be at least 1 {unit}")
