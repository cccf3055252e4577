"""``python -m experiments convert``: export prepared data, with their films, in a layout that other tools read."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from ammrg.notice import NOTICE
from datamodules.sources.source_reading import SPLITS
from experiments.data.conversion import WRITERS, convert


def parser() -> argparse.ArgumentParser:
    """The command line of ``convert``."""
    arguments = CommandParser(
        prog="python -m experiments convert",
        description="Export prepared data, with the films, in a layout that people or other tools read: the table "
        "studies.csv, R2Gen's annotation.json or ReXrank's rexrank_SPLIT.json.",
        epilog=NOTICE,
    )
    arguments.add_argument("--data", required=True, help="prepared folder, for instance data/iu_xray")
    arguments.add_argument("--to", required=True, choices=WRITERS, help="the layout")
    arguments.add_argument("--out", required=True, type=Path, help="folder to write to")
    arguments.add_argument("--split", nargs="+", choices=SPLITS, help="splits to write (default: all)")
    return arguments


def main(argv: Sequence[str]) -> int:
    """Export prepared data and print what was written."""
    options = parser().parse_args(argv)
    convert(options.data, options.to, options.out, options.split)
    return 0
