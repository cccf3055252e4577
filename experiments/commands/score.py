"""``python -m experiments score``: like ``ammrg score``, with the run's films on the page."""

from __future__ import annotations

from collections.abc import Sequence

from ammrg.commands import score
from experiments.runs.page_films import films_of_run


def main(argv: Sequence[str]) -> int:
    """Score reports, write ``scores.json`` and ``report.html``, print the tables; options as in ``ammrg score``."""
    return score.main(argv, films_of_run, "python -m experiments score")
