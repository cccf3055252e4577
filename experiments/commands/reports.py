"""``python -m experiments reports``: write and score a run's reports again: another operating point, or split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.argument_types import operating_point
from ammrg.commands.parser import CommandParser
from ammrg.notice import NOTICE
from ammrg.operating_points import BALANCED, HELP
from experiments.commands import score
from experiments.runs.written_again import reports_of, write_again

WHAT = (
    "Let a run's network write its reports again, at another operating point or for the validation studies, and score "
    "them. They go to RUN/operating_points/SETTING/, RUN/val/ or RUN/val/operating_points/SETTING/; those at another "
    "operating point are compared with the balanced ones of the split, if they are there."
)
SPLITS = ("test", "val")


def main(argv: Sequence[str]) -> int:
    """Write the reports, then score them; those at another operating point against the balanced ones of the split.

    Returns:
        0.
    """
    parser = CommandParser(prog="python -m experiments reports", description=f"{WHAT} {NOTICE}")
    parser.add_argument("run", type=Path, help="a finished run: outputs/<dataset>/<run>")
    parser.add_argument("--operating-point", type=operating_point, default=BALANCED, metavar="SETTING", help=HELP)
    parser.add_argument("--split", choices=SPLITS, default="test", help="the studies (default: %(default)s)")
    options = parser.parse_args(argv)
    written = write_again(options.run, options.operating_point, options.split)
    balanced = reports_of(options.run, BALANCED, options.split)
    against = ["--against", str(balanced)] if balanced.is_file() and balanced != written else []
    return score.main([str(written), "--no-films", *against])
