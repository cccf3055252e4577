"""``python -m experiments serve``: like ``ammrg serve``, but also for a run that is not exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ammrg.commands import serve as command
from ammrg.commands.parser import CommandParser

if TYPE_CHECKING:
    from ammrg.inference.report_generator import ReportGenerator


def main(argv: Sequence[str]) -> int:
    """Run ``python -m experiments serve --run outputs/phantom/default``."""
    parser = CommandParser(prog="python -m experiments serve", description=command.DESCRIPTION)
    command.add_arguments(parser)
    parser.add_argument("--run", type=Path, required=True, help="a finished run: outputs/<dataset>/<run>")
    options = parser.parse_args(argv)
    from experiments.runs.run import Run

    run = Run(options.run)
    run.checkpoint  # noqa: B018  # a missing one is an error before seconds of imports

    def open_model() -> ReportGenerator:
        return run.generator(None)

    return command.serve(options, open_model, None)
