"""``python -m experiments guards RUN``: what are a run's reports without its films, and without its memories?

The run's own network writes its reports again, each time with one thing taken away; ``make scores`` then says beside
which of them its reports are no better.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from ammrg.notice import NOTICE
from experiments.commands import score
from experiments.runs.guards import GUARDS, write_guards_of_run


def main(argv: Sequence[str]) -> int:
    """Write guards, score everything anew, print.

    Returns:
        0.
    """
    parser = CommandParser(prog="python -m experiments guards", description=f"{__doc__} {NOTICE}")
    parser.add_argument("run", type=Path, help="a finished run: the folder with reports.jsonl and stage2/")
    parser.add_argument("--only", nargs="+", choices=list(GUARDS), default=list(GUARDS), help="default: all six")
    options = parser.parse_args(argv)
    write_guards_of_run(options.run, options.only)
    return score.main([str(options.run / "reports.jsonl")])
