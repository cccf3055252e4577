"""``python -m experiments prepare``: prepare a raw data set as validated Parquet shards with a card."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.argument_types import positive
from ammrg.commands.parser import CommandParser
from ammrg.notice import NOTICE
from datamodules.sources.source_reading import SECTIONS, SPLITS
from experiments.data.card_table import print_card
from experiments.data.preparation import DATASETS, DEFAULT_SIZE, prepare


def split_sizes(text: str) -> dict[str, int]:
    """Read ``train=2400,val=150,test=240`` as a dict, for argparse."""
    sizes = {}
    for part in text.split(","):
        split, equals, count = part.partition("=")
        if split.strip() not in SPLITS or not equals or not count.strip().isdigit():
            raise argparse.ArgumentTypeError(f"{part!r}: write train=N,val=N,test=N")
        sizes[split.strip()] = int(count)
    return sizes


def share(text: str) -> float:
    """Read a share between 0 and 1, for argparse."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a share between 0 and 1")
    return value


def parser() -> argparse.ArgumentParser:
    """The command line of ``prepare``."""
    arguments = CommandParser(
        prog="python -m experiments prepare",
        description="Prepare a raw data set as Parquet shards with a card. The same command continues a stopped one.",
        epilog=NOTICE,
    )
    arguments.add_argument("--dataset", required=True, choices=DATASETS)
    arguments.add_argument(
        "--raw", type=Path, help="folder of the raw data; for painted, a prepared folder; the phantom needs none"
    )
    arguments.add_argument("--out", type=Path, help="folder of the shards (default: data/DATASET)")
    arguments.add_argument(
        "--size",
        type=int,
        help=f"most pixels of a film's shorter side (default: 256 for phantom and painted, else {DEFAULT_SIZE})",
    )
    arguments.add_argument("--workers", type=positive, help="processes (default: one per core)")
    arguments.add_argument(
        "--section",
        choices=SECTIONS,
        default="findings",
        help="the section of the report that a model learns to write (default: %(default)s)",
    )
    arguments.add_argument(
        "--source",
        help="layout to read, if the folder holds several: r2gen, csv or xml (default: the first found)",
    )
    arguments.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of drawn or painted films, of a split made here, and of the order of training studies",
    )
    arguments.add_argument(
        "--studies",
        type=split_sizes,
        help="for the phantom: number of studies of each split, such as train=2400,val=150,test=240",
    )
    arguments.add_argument(
        "--version",
        type=int,
        help="for the phantom: 1 or 2 (default: 2, where report and boxes give every sign's side and level)",
    )
    arguments.add_argument(
        "--max-rejected", type=share, default=0.01, help="largest share of films that may be set aside (default: 0.01)"
    )
    return arguments


def main(argv: Sequence[str]) -> int:
    """Prepare one data set and print its card."""
    options = parser().parse_args(argv)
    out = options.out or Path("data") / options.dataset
    card = prepare(
        options.dataset,
        options.raw,
        out,
        size=options.size,
        workers=options.workers,
        section=options.section,
        source=options.source,
        seed=options.seed,
        studies=options.studies,
        version=options.version,
        max_rejected=options.max_rejected,
    )
    print_card(out, card)
    return 0
