"""Which labeler reads the reports: a name for the tables, and texts -> labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ammrg.text import labeler


class Labeler(NamedTuple):
    """A reader of the 14 findings."""

    name: str
    """How tables name it."""
    label_all: Callable[[Sequence[str]], list[list[float]]]
    """n texts -> n rows of 14 labels: 1 present, 0 absent, -1 uncertain, NaN unmentioned."""


def rule_based() -> Labeler:
    """The labeler that needs no download."""
    return Labeler(labeler.NAME, lambda texts: [labeler.label(text) for text in texts])
