"""``python -m experiments export``: write a finished run as one self-contained folder, or put it on the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from ammrg.errors import SettingsError
from ammrg.notice import NOTICE
from experiments.runs.export import export_and_print, push_and_print


def main(argv: Sequence[str]) -> int:
    """Export, push, or both.

    ``python -m experiments export outputs/phantom/default --out exported/phantom [--push ORG/NAME]``, or later
    ``python -m experiments export exported/phantom --push ORG/NAME``.
    """
    parser = CommandParser(
        prog="python -m experiments export",
        description="Write a finished run as one self-contained folder (Hugging Face layout) with its model card; on "
        f"request, put it on the hub. {NOTICE}",
    )
    parser.add_argument(
        "run", type=Path, help="a finished and scored run: outputs/<dataset>/<run>; without --out: an exported folder"
    )
    parser.add_argument("--out", type=Path, help="the folder to write: new, empty, or an earlier export of this run")
    parser.add_argument(
        "--data",
        help="prepared data whose validation and test studies the memories must not hold (default: the data that "
        "the run was trained on)",
    )
    parser.add_argument(
        "--push", metavar="ORG/NAME", help="put the folder on the Hugging Face hub, as a private repository"
    )
    parser.add_argument("--public", action="store_true", help="with --push: make a new repository public")
    parser.add_argument(
        "--let-restricted-data-leave",
        action="store_true",
        help="keep ids and texts of restricted data in the memories, and allow --push for their model; only for those "
        "who may decide that",
    )
    options = parser.parse_args(argv)
    leave: bool = options.let_restricted_data_leave
    if options.out is None and not options.push:
        raise SettingsError(
            "name the folder to write with --out FOLDER, or push an exported folder with --push ORG/NAME"
        )
    if options.public and not options.push:
        raise SettingsError("--public: only with --push ORG/NAME")
    if options.out is not None:
        export_and_print(options.run, options.out, options.data, let_restricted_data_leave=leave)
    if options.push:
        folder = options.out or options.run
        push_and_print(folder, options.push, private=not options.public, let_restricted_data_leave=leave)
    return 0
