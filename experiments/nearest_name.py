"""``python -IS experiments/nearest_name.py NAME CANDIDATE ...``: print the candidate that NAME was meant to be, if any.

The Makefile calls this file by its path, before there is an environment, so it needs only the standard library.
"""

import difflib
import sys

ALIKE = 0.75
"""Least similarity, from 0 to 1, of a mistyped name: ``DATSET`` passes for ``DATASET``, ``WANDB_MODE`` for nothing."""


def nearest(name: str, candidates: list) -> str:
    """The most similar candidate, ignoring case; empty if none is similar enough."""
    there = {candidate.lower(): candidate for candidate in candidates}
    return next((there[close] for close in difflib.get_close_matches(name.lower(), there, 1, ALIKE)), "")


if __name__ == "__main__":
    print(nearest(sys.argv[1], sys.argv[2:]))
