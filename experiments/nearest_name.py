"""``python -IS experiments/nearest_name.py NAME CANDIDATE ...``: the candidate that was meant, or nothing; for make.

Of the standard library alone, and by path: it answers before there is an environment.
"""

import difflib
import sys

ALIKE = 0.75
"""Share of common letters from which a name looks like a slip of another: ``DATSET``, but not ``WANDB_MODE``."""


def nearest(name: str, candidates: list) -> str:
    """The candidate nearest to a name, whatever its capitals; empty where none is near."""
    there = {candidate.lower(): candidate for candidate in candidates}
    return next((there[close] for close in difflib.get_close_matches(name.lower(), there, 1, ALIKE)), "")


if __name__ == "__main__":
    print(nearest(sys.argv[1], sys.argv[2:]))
