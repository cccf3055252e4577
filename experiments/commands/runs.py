"""``python -m experiments runs``: list the runs of a folder, and what differs between some of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from experiments.runs.table import list_runs


def main(argv: Sequence[str]) -> int:
    """List all runs, or those named, with what differs between the first and each of the others."""
    parser = CommandParser(
        prog="python -m experiments runs",
        description="List the runs of a folder in a table, and what differs between some of them.",
    )
    parser.add_argument(
        "names", nargs="*", help="runs to compare, by their names in the table; without names, all runs are listed"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="folder of the runs (default: outputs)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    list_runs(options.out, options.names, as_json=options.json)
    return 0
