"""``python -m experiments guards``: write and score a run's reports again with other films or without memories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from ammrg.notice import NOTICE
from experiments.commands import score
from experiments.runs.guards import GUARDS, write_guards_of_run

WHAT = (
    "Let a run's network write its reports again, each time with other films or without a memory, and score them. "
    "The scores then show which of them make no difference, and whether sides follow mirrored films."
)


def main(argv: Sequence[str]) -> int:
    """Write the guards, then score the run's reports again with the guards beside them.

    Returns:
        0.
    """
    parser = CommandParser(prog="python -m experiments guards", description=f"{WHAT} {NOTICE}")
    parser.add_argument("run", type=Path, help="a finished run: outputs/<dataset>/<run>")
    parser.add_argument(
        "--only", nargs="+", choices=list(GUARDS), default=list(GUARDS), help="guards to write (default: all)"
    )
    options = parser.parse_args(argv)
    write_guards_of_run(options.run, options.only)
    return score.main([str(options.run / "reports.jsonl")])
