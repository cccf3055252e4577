"""``ammrg describe``: the films of one study -> report, 14 findings with maps, retrieved reports and regions."""

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
"""Folder of descriptions by default, in the working directory."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the study's arguments; the caller adds those that name the model."""
    parser.add_argument("films", nargs="+", type=Path, help="film(s) of one study: PNG or JPEG")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for panel.png and report.json (default: described/FIRST_FILM here, or RUN/described/FIRST_FILM "
        "for a run)",
    )
    parser.add_argument(
        "--lateral", type=int, nargs="*", default=[], metavar="N", help="which of the films (1, 2, ...) are lateral"
    )
    parser.add_argument("--indication", default="", help="reason for the study, for a prompt that includes it")


def check_films(films: Sequence[Path]) -> None:
    """Read every film, so that one that cannot be read is an error before any weights are loaded.

    Raises:
        ReadError: if a film cannot be read; names the first.
    """
    from ammrg.imaging.reading import read_film

    for film in films:
        read_film(film)


def describe(options: argparse.Namespace, open_model: Callable[[], ReportGenerator], folder: Path = FOLDER) -> None:
    """Open the model, describe the study, write report.json and panel.png, and print the description.

    Args:
        options: the arguments of :func:`add_arguments`.
        open_model: opens the model.
        folder: without ``--out``, the files go into a folder here that has the first film's name.
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
        ReadError: if a film cannot be read.
        CheckpointError, SettingsError, MemoryBankError: if the model cannot be opened.
    """
    parser = CommandParser(prog="ammrg describe", description=DESCRIPTION)
    add_arguments(parser)
    parser.add_argument("--model", required=True, help="an exported folder, or the hub id of one")
    options = parser.parse_args(argv)
    check_films(options.films)

    def open_model() -> ReportGenerator:
        from ammrg.inference.report_generator import ReportGenerator

        return ReportGenerator.from_pretrained(options.model)

    describe(options, open_model)
    return 0
