"""``python -m experiments describe``: like ``ammrg describe``, but also for a run that is not exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.describe import DESCRIPTION, FOLDER, add_arguments, check_paths, describe
from ammrg.commands.exported_model import opener
from ammrg.commands.parser import CommandParser
from ammrg.errors import SettingsError


def main(argv: Sequence[str]) -> int:
    """Run ``python -m experiments describe film.png --run outputs/phantom/default`` (or ``--model FOLDER``)."""
    parser = CommandParser(prog="python -m experiments describe", description=DESCRIPTION)
    add_arguments(parser)
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--run", type=Path, help="a finished run: outputs/<dataset>/<run>")
    whose.add_argument("--model", help="an exported folder (python -m experiments export), or its hub id")
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="with --run: prepared data whose validation and test studies the memories must not hold (default: the "
        "data that the run was trained on)",
    )
    options = parser.parse_args(argv)
    if options.model and options.data:
        raise SettingsError("--data is for --run: the memories of an exported model were checked when it was exported")
    check_paths(options.paths)
    from experiments.runs.run import Run

    if options.run:
        Run(options.run).checkpoint  # noqa: B018  # a missing one is an error before seconds of imports

    open_model = opener(options.model) if options.model else lambda: Run(options.run).generator(options.data)

    return describe(options, open_model, options.run / FOLDER if options.run else FOLDER)
