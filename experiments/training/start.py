"""The words of a Trainer's command, looked at before anything heavy is loaded: unknown names are refused at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ammrg.errors import SettingsError
from experiments.training.words import Words

HELP = {"-h", "--help"}


def start(argv: Sequence[str]) -> int:
    """Look at the words, then run the command.

    Returns:
        2 for words that are wrong; else what the command returns.
    """
    words = list(argv)
    wants_help = [word for word in words if word in HELP or word.partition("=")[0].endswith(".help")]
    try:
        asked = Words([word for word in words if word not in wants_help])
        if not wants_help:
            asked.check()
            words = asked.joined()
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    from experiments.training.command import run

    return run(words, asked.class_paths if set(wants_help) & HELP else None)
