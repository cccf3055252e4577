"""``python -m experiments memory``: show, check and change memory banks, and measure what they do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.argument_types import positive
from ammrg.commands.parser import CommandParser
from experiments.memories.checking import check, merge
from experiments.memories.showing import show
from experiments.memories.withdrawal import prune

BANK_HELP = "a bank's path, e.g. outputs/phantom/default/memory/regions"
FOLDER_HELP = f"{BANK_HELP}, or the folder that holds it"


def png(text: str) -> Path:
    """Read the path of a PNG file, for argparse; matplotlib would otherwise write another format or file name."""
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .png")
    return Path(text)


def main(argv: Sequence[str]) -> int:
    """Run one of the commands, such as ``memory show outputs/phantom/default/memory/regions``."""
    parser = CommandParser(
        prog="python -m experiments memory",
        description="Show, check and change memory banks, and measure what they do.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    shown = commands.add_parser(
        "show", help="print what a bank holds: counts, nearest neighbours, a map of its patterns"
    )
    shown.add_argument("bank", type=Path, help=f"{FOLDER_HELP} (then its banks are listed)")
    shown.add_argument(
        "--of",
        nargs="+",
        action="extend",
        default=[],
        metavar="ROW|STUDY",
        help="patterns whose neighbours are listed (default: one per finding)",
    )
    shown.add_argument(
        "--neighbours", type=positive, default=3, metavar="K", help="neighbours of each pattern (default: %(default)s)"
    )
    shown.add_argument("--map", type=png, metavar="PNG", help="draw the patterns on a plane, coloured by finding")

    checked = commands.add_parser("check", help="check a bank's files and owners; exit status 1 if a check fails")
    checked.add_argument("bank", type=Path, help=BANK_HELP)

    merged = commands.add_parser("merge", help="add the new studies of another bank to a bank")
    merged.add_argument("bank", type=Path, help=f"the bank to extend; {BANK_HELP}")
    merged.add_argument("other", type=Path, help="the bank of new studies, made with the same encoder")
    merged.add_argument("--out", type=Path, required=True, help="path of the extended bank")

    pruned = commands.add_parser("prune", help="remove studies or patients from a bank, and check that they are gone")
    pruned.add_argument("bank", type=Path, help=f"{FOLDER_HELP} (then all its banks are changed)")
    for name, help_text in (
        ("--study", "studies to remove"),
        ("--patient", "patients to remove, with all their studies"),
    ):
        pruned.add_argument(name, nargs="+", action="extend", default=[], metavar="ID", help=help_text)
    pruned.add_argument(
        "--out", type=Path, help="path of the smaller bank, or folder of the smaller banks (default: in place)"
    )

    associated = commands.add_parser(
        "associations", help="measure how often positive findings retrieve regions of their own finding"
    )
    compared = commands.add_parser(
        "compare", help="write and score reports with the memories on, exchanged between patients and off"
    )
    for command in (associated, compared):
        command.add_argument("run", type=Path, help="a finished run: outputs/<dataset>/<run>")
    associated.add_argument("--split", default="test", choices=("train", "val", "test"), help="default: %(default)s")
    associated.add_argument(
        "--top",
        type=positive,
        default=5,
        metavar="K",
        help="number of strongest regions counted (default: %(default)s)",
    )

    data_help = "prepared data whose validation and test studies the bank must not hold"
    checked.add_argument("--data", metavar="FOLDER", help=data_help)
    merged.add_argument(
        "--data", metavar="FOLDER", help=f"{data_help} (default: the data of the run that BANK belongs to)"
    )
    for command in (checked, merged):
        command.add_argument(
            "--stage1", type=Path, metavar="CKPT", help="stage-1 checkpoint that the bank must belong to"
        )

    options = parser.parse_args(argv)
    if options.command == "show":
        show(options.bank, options.of, options.neighbours, options.map)
    elif options.command == "check":
        check(options.bank, options.data, options.stage1)
    elif options.command == "merge":
        merge(options.bank, options.other, options.out, options.data, options.stage1)
    elif options.command == "prune":
        prune(options.bank, options.study, options.patient, options.out)
    else:
        from experiments.memories import measures as memory_measures  # Lightning takes seconds to import

        if options.command == "associations":
            memory_measures.associations(options.run, options.split, options.top)
        else:
            memory_measures.compare(options.run)
    return 0
