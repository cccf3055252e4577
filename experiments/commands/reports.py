"""``python -m experiments reports``: write and score a run's reports again at another operating point."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.argument_types import operating_point
from ammrg.commands.parser import CommandParser
from ammrg.notice import NOTICE
from ammrg.operating_points import HELP
from experiments.commands import score
from experiments.runs.turned_reports import write_turned_reports

WHAT = (
    "Let a run's network write its reports again at another operating point, to "
    "RUN/operating_points/SETTING/reports.jsonl, and score them beside the run's own."
)


def main(argv: Sequence[str]) -> int:
    """Write the reports, then score them against the run's balanced ones.

    Returns:
        0.
    """
    parser = CommandParser(prog="python -m experiments reports", description=f"{WHAT} {NOTICE}")
    parser.add_argument("run", type=Path, help="a finished run: outputs/<dataset>/<run>")
    parser.add_argument("--operating-point", type=operating_point, required=True, metavar="SETTING", help=HELP)
    options = parser.parse_args(argv)
    written = write_turned_reports(options.run, options.operating_point)
    own = options.run / "reports.jsonl"
    return score.main([str(written), "--no-films", *(["--against", str(own)] if own.is_file() else [])])
