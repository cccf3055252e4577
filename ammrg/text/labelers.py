"""The interface of a labeler: a name for tables, and a function from texts to labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ammrg.text import labeler


class Labeler(NamedTuple):
    """A labeler of the 14 findings."""

    name: str
    """Its name in tables."""
    label_all: Callable[[Sequence[str]], list[list[float]]]
    """n texts -> n rows of 14 labels: 1 present, 0 absent, -1 uncertain, NaN unmentioned."""


def rule_based() -> Labeler:
    """The rule-based labeler, which needs no download."""
    return Labeler(labeler.NAME, lambda texts: [labeler.label(text) for text in texts])
