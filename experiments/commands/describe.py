"""One film -> its report, 14 findings with maps, and the memories it leaned on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from ammrg.errors import SettingsError
from ammrg.inference.description import describe


def main(argv: Sequence[str]) -> int:
    """``python -m experiments describe film.png --run outputs/phantom/default``, or ``--model FOLDER``."""
    parser = CommandParser(
        prog="python -m experiments describe",
        description="Write the report of one examination, with its reasons. Research use only. Not for diagnosis.",
    )
    parser.add_argument("films", nargs="+", type=Path, help="film(s) of one study: PNG or JPEG")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--run", type=Path, help="a finished run: outputs/<dataset>/<run>")
    whose.add_argument("--model", help="an exported folder (python -m experiments export), or the hub id of one")
    parser.add_argument(
        "--out",
        type=Path,
        help="where panel.png and report.json go (default: a folder of the first film's name in RUN/described, "
        "with --model in described/ here)",
    )
    parser.add_argument(
        "--lateral", type=int, nargs="*", default=[], metavar="N", help="which of the films (1, 2, ...) are lateral"
    )
    parser.add_argument(
        "--data",
        metavar="FOLDER",
        help="with --run: prepared data whose split its memories are checked against; default: those of the training",
    )
    parser.add_argument("--indication", default="", help="why the study was made, for a prompt that names it")
    options = parser.parse_args(argv)
    if options.model and options.data:
        raise SettingsError("--data is for --run: an exported model's memories were checked when it was written")
    from ammrg.imaging.reading import read_film

    for film in options.films:
        read_film(film)  # one that cannot be read is an error before any weights load
    from experiments.runs.run import Run

    if options.run:
        Run(options.run).checkpoint  # noqa: B018  # said before seconds of imports
    from rich.console import Console

    from ammrg.inference import pretrained

    with Console(stderr=True).status("reading the model, checking its files"):
        model = pretrained.load(options.model) if options.model else Run(options.run).generator(options.data)
    described = Path("described") if options.model else options.run / "described"
    folder = options.out or described / options.films[0].stem
    describe(options.films, model, folder, options.lateral, options.indication)
    return 0
