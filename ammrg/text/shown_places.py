"""Words of place as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable

from ammrg.text.place_words import LEVELS, SIDES


def shown_place(words: Iterable[object]) -> str:
    """``left upper``, ``bilateral mid and lower``, ``right``; empty where nothing is known.

    Args:
        words: of :data:`ammrg.text.place_words.SIDES` and :data:`ammrg.text.place_words.LEVELS`; others are left out.
    """
    named = {str(word) for word in words}
    sides = [word for word in SIDES if word in named]
    levels = [word for word in LEVELS if word in named]
    parts = ["bilateral"] if len(sides) == len(SIDES) else sides
    if len(levels) > 1:
        parts.append(f"{', '.join(levels[:-1])} and {levels[-1]}")
    else:
        parts += levels
    return " ".join(parts)
