"""The start of a Trainer's command: its options are checked before anything heavy is imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ammrg.errors import SettingsError
from experiments.training.words import Words

HELP = {"-h", "--help"}


def checked(argv: Sequence[str]) -> tuple[Words, list[str]]:
    """Read a command's options, and check them unless they ask for help.

    Args:
        argv: the command (fit, validate, test or predict) and its options.

    Returns:
        The options other than help, and the words that ask for help.

    Raises:
        SettingsError: an option is wrong.
    """
    wants_help = [word for word in argv if word in HELP or word.partition("=")[0].endswith(".help")]
    requested = Words([word for word in argv if word not in wants_help])
    if not wants_help:
        requested.check()
    return requested, wants_help


def start(argv: Sequence[str]) -> int:
    """Check the options, then run the command.

    Args:
        argv: the command (fit, validate, test or predict) and its options.

    Returns:
        2 if an option is wrong, else what the command returns.
    """
    try:
        requested, wants_help = checked(argv)
        words = list(argv) if wants_help else requested.joined()
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from experiments.training.command import run

    return run(words, requested.class_paths if set(wants_help) & HELP else None)
