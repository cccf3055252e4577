"""``python -m experiments convert``: prepared data -> R2Gen's annotation or ReXrank's JSON, with its films."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from ammrg.notice import NOTICE
from datamodules.prepared import read_card
from datamodules.sources import SPLITS
from datamodules.sources.writers import IMAGES, write_annotation, write_rexrank

WRITERS = {"r2gen": write_annotation, "rexrank": write_rexrank}


def parser() -> argparse.ArgumentParser:
    """The command line of ``convert``."""
    arguments = CommandParser(
        prog="python -m experiments convert",
        description="Prepared data -> a layout that other tools read: annotation.json (R2Gen) or rexrank_SPLIT.json.",
        epilog=NOTICE,
    )
    arguments.add_argument("--data", required=True, help="prepared folder, for instance data/iu_xray")
    arguments.add_argument("--to", required=True, choices=WRITERS, help="the layout")
    arguments.add_argument("--out", required=True, type=Path, help="folder to write into")
    arguments.add_argument("--split", nargs="+", choices=SPLITS, help="splits to write (default: all)")
    return arguments


def main(argv: Sequence[str]) -> int:
    """Write one export and say what lies where."""
    options = parser().parse_args(argv)
    card = read_card(options.data)
    splits = list(dict.fromkeys(options.split or (split for split in SPLITS if split in card["counts"])))
    export = WRITERS[options.to](options.data, options.out, splits)
    for path in export.files:
        print(path)
    print(f"{export.studies:,} studies ({', '.join(splits)}), {export.films:,} films in {options.out / IMAGES}/")
    if card["restricted"]:
        print(f"{card['dataset']} is restricted: this copy must stay on this machine, as the data set's terms say")
    return 0
