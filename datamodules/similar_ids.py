"""Patients of two splits whose ids may be two spellings of one."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


def one_spelling(name: str) -> str:
    """An id without white space, capitals and zeros in front of its numbers: ``P 007`` and ``p7`` are alike."""
    return _ZEROS.sub("", "".join(name.split()).casefold())


def alike_in_two_splits(patients: Mapping[str, Collection[str]]) -> list[tuple[str, str]]:
    """Return pairs of ids that differ by capitals, white space or zeros alone, and are in two splits.

    Args:
        patients: split -> ids of its patients.

    Returns:
        ``("P01 in train", "p1 in test")``, one pair for each patient that they may be, sorted.
    """
    spelled: dict[str, dict[str, str]] = {}
    for split, ids in patients.items():
        for name in sorted(ids):
            spelled.setdefault(one_spelling(name), {}).setdefault(split, name)
    pairs = ([f"{name} in {split}" for split, name in each.items()] for each in spelled.values() if len(each) > 1)
    return sorted((first, second) for first, second, *_ in pairs)
