"""``ammrg demo``: a page on this machine, to try a model."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ammrg.commands.argument_types import port
from ammrg.commands.exported_model import MODEL, opener
from ammrg.commands.parser import CommandParser
from ammrg.notice import NOTICE

if TYPE_CHECKING:
    from ammrg.inference.report_generator import ReportGenerator

DESCRIPTION = f"Show a page on this machine, to try a model on studies (docs/demo.md). {NOTICE}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the page's arguments; the caller adds those that name the model."""
    parser.add_argument("--port", type=port, default=7860, help="of this machine's loopback (default: %(default)s)")
    parser.add_argument(
        "--examples",
        type=Path,
        metavar="FOLDER",
        help="studies to try: a folder of films for each, whose name is its title; films with lateral in their names "
        "are lateral",
    )


def show(options: argparse.Namespace, open_model: Callable[[], ReportGenerator]) -> int:
    """Show the page until the process is told to stop.

    Args:
        options: the arguments of :func:`add_arguments`.
        open_model: opens and checks the model.

    Returns:
        0.

    Raises:
        AMMRGError: see :func:`ammrg.demo.serving.show`.
    """
    from ammrg.demo import serving

    serving.show(open_model, options.port, options.examples)
    return 0


def main(argv: Sequence[str]) -> int:
    """``ammrg demo --model FOLDER``.

    Returns:
        0.

    Raises:
        SettingsError, ReadError, CheckpointError, MemoryBankError: see :func:`ammrg.demo.serving.show`.
    """
    parser = CommandParser(prog="ammrg demo", description=DESCRIPTION)
    add_arguments(parser)
    parser.add_argument("--model", **MODEL)
    options = parser.parse_args(argv)
    return show(options, opener(options.model))
