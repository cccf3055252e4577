"""``python -m experiments describe``: write the report of one study's films, with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from ammrg.errors import SettingsError
from experiments.runs.describing import describe_films


def main(argv: Sequence[str]) -> int:
    """Run ``python -m experiments describe film.png --run outputs/phantom/default`` (or ``--model FOLDER``)."""
    parser = CommandParser(
        prog="python -m experiments describe",
        description="Write the report of one examination, with its reasons. Research use only. Not for diagnosis.",
    )
    parser.add_argument("films", nargs="+", type=Path, help="films of one study: PNG or JPEG")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--run", type=Path, help="a finished run: outputs/<dataset>/<run>")
    whose.add_argument("--model", help="an exported folder (python -m experiments export), or its hub id")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for panel.png and report.json (default: a folder named after the first film, in RUN/described "
        "or, with --model, in ./described)",
    )
    parser.add_argument(
        "--lateral", type=int, nargs="*", default=[], metavar="N", help="numbers of the lateral films (1, 2, ...)"
    )
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="with --run: prepared data whose validation and test studies the memories must not hold (default: the "
        "data that the run was trained on)",
    )
    parser.add_argument("--indication", default="", help="why the study was made, for models whose prompt contains it")
    options = parser.parse_args(argv)
    if options.model and options.data:
        raise SettingsError("--data is for --run: the memories of an exported model were checked when it was exported")
    describe_films(
        options.films,
        run=options.run,
        model=options.model,
        out=options.out,
        lateral=options.lateral,
        indication=options.indication,
        data=options.data,
    )
    return 0
