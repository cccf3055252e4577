"""Checks the options of a Trainer's command for make: ``python -m experiments.training.check_words fit OPTION ...``.

Prints one sentence about the first wrong option, and nothing if all are right; the exit status is 2 or 0. Nothing heavy
is imported, so make can check ARGS before it builds what the command needs.
"""

from __future__ import annotations

import sys

from ammrg.errors import SettingsError
from experiments.training.start import checked

if __name__ == "__main__":
    try:
        checked(sys.argv[1:])
    except SettingsError as error:
        print(error, end="")
        sys.exit(2)
