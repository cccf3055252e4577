"""``ammrg describe``: the films of one study -> report, 14 findings with maps, and what was retrieved for it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ammrg.commands.parser import CommandParser
from ammrg.notice import NOTICE

if TYPE_CHECKING:
    from ammrg.inference.report_generator import ReportGenerator

DESCRIPTION = f"Write the report of one examination, with its reasons. {NOTICE}"
FOLDER = Path("described")
"""Where descriptions go unless told otherwise."""


def add_arguments(words: argparse.ArgumentParser) -> None:
    """The study's arguments; those that name the model are the caller's."""
    words.add_argument("films", nargs="+", type=Path, help="film(s) of one study: PNG or JPEG")
    words.add_argument(
        "--out",
        type=Path,
        help="where panel.png and report.json go (default: a folder of the first film's name in described/ here; of a "
        "run, in RUN/described)",
    )
    words.add_argument(
        "--lateral", type=int, nargs="*", default=[], metavar="N", help="which of the films (1, 2, ...) are lateral"
    )
    words.add_argument("--indication", default="", help="why the study was made, for a prompt that names it")


def check_films(films: Sequence[Path]) -> None:
    """Read every film: one that cannot be read is an error before any weights load.

    Raises:
        ReadError: the first, by name.
    """
    from ammrg.imaging.reading import read_film

    for film in films:
        read_film(film)


def describe(options: argparse.Namespace, open_model: Callable[[], ReportGenerator], folder: Path = FOLDER) -> None:
    """Open the model, describe the study, write report.json and panel.png, print.

    Args:
        options: of :func:`add_arguments`.
        open_model: gives the model.
        folder: where a folder of the first film's name is made, without ``--out``.
    """
    from rich.console import Console

    from ammrg.inference.description_output import print_description, write_description

    with Console(stderr=True).status("reading the model, checking its files"):
        model = open_model()
    description = model.describe(options.films, options.lateral, options.indication)
    files = write_description(description, options.out or folder / options.films[0].stem)
    print_description(description, *files)


def main(argv: Sequence[str]) -> int:
    """``ammrg describe film.png --model FOLDER``.

    Returns:
        0.

    Raises:
        ReadError: a film that cannot be read.
        CheckpointError, SettingsError, MemoryBankError: a model that cannot be opened.
    """
    words = CommandParser(prog="ammrg describe", description=DESCRIPTION)
    add_arguments(words)
    words.add_argument("--model", required=True, help="an exported folder, or the hub id of one")
    options = words.parse_args(argv)
    check_films(options.films)

    def open_model() -> ReportGenerator:
        from ammrg.inference.report_generator import ReportGenerator

        return ReportGenerator.from_pretrained(options.model)

    describe(options, open_model)
    return 0
