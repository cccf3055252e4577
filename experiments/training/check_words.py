"""``python -m experiments.training.check_words fit -c CONFIG ... OPTION ...``: are these words known? For make.

Prints one sentence about the first unknown name, and nothing where all are known; exit status 2 or 0. It loads nothing
heavy, so make can ask before it builds what the command needs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ammrg.errors import SettingsError
from experiments.training.words import Words


def check(argv: Sequence[str]) -> str | None:
    """Look at a Trainer command's words.

    Args:
        argv: the command first.

    Returns:
        What is wrong with them; None where nothing is.
    """
    try:
        Words(argv).check()
    except SettingsError as error:
        return str(error)
    return None


if __name__ == "__main__":
    wrong = check(sys.argv[1:])
    print(wrong or "", end="")
    sys.exit(2 if wrong else 0)
