"""The studies that a memory must not hold, or the reason why they are not named. Every reader of a bank gives one."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple


class HeldOut(NamedTuple):
    """The validation and test studies of prepared data, and their patients. None of them may own a pattern."""

    studies: frozenset[str]
    subjects: frozenset[str]
    """Patients of those studies; an empty id is an unknown patient and matches nothing."""


@dataclasses.dataclass(frozen=True)
class Unchecked:
    """The reason for reading a bank without a check against :class:`HeldOut`.

    Raises:
        ValueError: no reason is given.
    """

    why: str
    """What the bank is read for, or when it was checked, in words."""

    def __post_init__(self) -> None:
        if not self.why.strip():
            raise ValueError("a memory bank is read unchecked: give the reason why")
