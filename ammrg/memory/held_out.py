"""Whom a memory must not hold, or why nobody can be named: what every reading of a bank has to say."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple


class HeldOut(NamedTuple):
    """The validation and test studies of prepared data, and their patients. None of them may own a pattern."""

    studies: frozenset[str]
    subjects: frozenset[str]
    """Their patients; an empty id is an unknown patient and matches nothing."""


@dataclasses.dataclass(frozen=True)
class Unchecked:
    """A bank is read without :class:`HeldOut`.

    Raises:
        ValueError: no reason is given.
    """

    why: str
    """In words: what it is read for, or who checked it."""

    def __post_init__(self) -> None:
        if not self.why.strip():
            raise ValueError("a memory bank is read unchecked: say why")
