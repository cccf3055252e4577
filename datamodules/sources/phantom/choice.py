"""Chooses among wordings as writers of reports do: some often, most seldom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def choose(options: Sequence[str], rng: np.random.Generator) -> str:
    """Choose one of the options, with a probability proportional to 1 / rank (Zipf)."""
    weights = 1.0 / np.arange(1, len(options) + 1)
    return options[int(rng.choice(len(options), p=weights / weights.sum()))]
