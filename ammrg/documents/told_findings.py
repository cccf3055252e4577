"""The findings that documents tell of, and the figures of each."""

from __future__ import annotations

from ammrg.findings import FINDINGS, NO_FINDING
from ammrg.inference.description import Description
from ammrg.thresholds import Figures, figures, is_predicted

DECIMALS = 4
"""Fewest decimals of a probability in a document."""


def told_findings(description: Description) -> dict[str, bool]:
    """Return each finding that a document lists, and whether it is present.

    "No Finding" below its threshold is left out: that no finding is absent is no statement about the film.
    """
    present = {name: is_predicted(value, description.thresholds[name]) for name, value in description.findings.items()}
    return {name: there for name, there in present.items() if there or name != FINDINGS[NO_FINDING]}


def told_figures(description: Description, name: str) -> Figures:
    """Write a finding's probability and threshold with as many decimals as tell which of them is greater."""
    return figures(description.findings[name], description.thresholds[name], DECIMALS)
