"""``python -m experiments memory COMMAND``: look into a memory bank, change who it remembers, measure what it does."""

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
FOLDER_HELP = f"{BANK_HELP}, or the folder it lies in"


def png(text: str) -> Path:
    """The path of a picture, for argparse; matplotlib would write another kind, or under another name."""
    if not text.lower().endswith(".png"):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .png")
    return Path(text)


def main(argv: Sequence[str]) -> int:
    """``python -m experiments memory show outputs/phantom/default/memory/regions``."""
    parser = CommandParser(
        prog="python -m experiments memory", description="Look into memory banks, change them, measure what they do."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    shown = commands.add_parser("show", help="what a bank holds: counts, nearest neighbours, a map of its patterns")
    shown.add_argument("bank", type=Path, help=f"{FOLDER_HELP}: then its banks are listed")
    shown.add_argument(
        "--of",
        nargs="+",
        action="extend",
        default=[],
        metavar="ROW|STUDY",
        help="patterns whose neighbours are listed (default: one a finding)",
    )
    shown.add_argument(
        "--neighbours", type=positive, default=3, metavar="K", help="how many for each (default %(default)s)"
    )
    shown.add_argument("--map", type=png, metavar="PNG", help="draw the patterns on a plane, coloured by finding")

    checked = commands.add_parser("check", help="read a bank with every guard; exit status 1 where one refuses it")
    checked.add_argument("bank", type=Path, help=BANK_HELP)

    merged = commands.add_parser("merge", help="extend a bank with the new studies of another")
    merged.add_argument("bank", type=Path, help=f"the bank to extend: {BANK_HELP}")
    merged.add_argument("other", type=Path, help="a bank of new studies, made with the same encoder")
    merged.add_argument("--out", type=Path, required=True, help="path of the extended bank")

    pruned = commands.add_parser("prune", help="drop studies or patients from a bank and prove that they are gone")
    pruned.add_argument("bank", type=Path, help=f"{FOLDER_HELP}: then all its banks")
    for name, help_text in (("--study", "studies to drop"), ("--patient", "patients to drop, with all their studies")):
        pruned.add_argument(name, nargs="+", action="extend", default=[], metavar="ID", help=help_text)
    pruned.add_argument("--out", type=Path, help="path of the smaller bank, or their folder (default: in place)")

    associated = commands.add_parser(
        "associations", help="do positive findings recall regions of their own, beside chance?"
    )
    compared = commands.add_parser("compare", help="write and score reports with the memories on, exchanged and off")
    for command in (associated, compared):
        command.add_argument("run", type=Path, help="a finished run: outputs/<dataset>/<run>")
    associated.add_argument("--split", default="test", choices=("train", "val", "test"), help="default: %(default)s")
    associated.add_argument(
        "--top", type=positive, default=5, metavar="K", help="strongest regions looked at; default %(default)s"
    )

    data_help = "prepared data: refuse its validation and test studies"
    checked.add_argument("--data", metavar="FOLDER", help=data_help)
    merged.add_argument("--data", metavar="FOLDER", help=f"{data_help}; default: those of the run that BANK lies in")
    for command in (checked, merged):
        command.add_argument("--stage1", type=Path, metavar="CKPT", help="stage-1 checkpoint that it must belong to")

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
