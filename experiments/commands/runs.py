"""The runs of a folder in a table, and what differs between some of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from ammrg.errors import SettingsError
from experiments.runs.table import compare, find, row, show


def main(argv: Sequence[str]) -> int:
    """List runs, or name what differs between the first and each of the others."""
    parser = CommandParser(prog="python -m experiments runs", description=__doc__)
    parser.add_argument("names", nargs="*", help="of runs to compare, as the table writes them; none lists all")
    parser.add_argument("--out", type=Path, default=Path("outputs"), help="where runs lie (default: outputs)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(argv)
    runs = find(options.out)
    if not runs:
        raise SettingsError(f"--out {options.out}: no run lies there (a run keeps its config.yaml in stage1 or stage2)")
    known = {run.name: run for run in runs}
    unknown = [name for name in options.names if name not in known]
    if unknown:
        raise SettingsError(f"no run {', '.join(unknown)} in {options.out}; there are {', '.join(known)}")
    chosen = [known[name] for name in options.names] or runs
    rows = [row(run) for run in chosen]
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    show(rows, f"{len(rows)} of {len(runs)} runs in {options.out}")
    for other in chosen[1:] if options.names else []:
        changed = compare(chosen[0], other)
        print(f"\n{chosen[0].name} -> {other.name}: {'' if changed else 'nothing differs'}")
        for line in changed:
            print(f"  {line}")
    return 0
