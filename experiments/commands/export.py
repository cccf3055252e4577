"""A finished run -> one self-contained Hugging Face-style folder with its model card; on request, to the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from ammrg.errors import SettingsError
from ammrg.notice import NOTICE
from experiments.runs.export import export


def main(argv: Sequence[str]) -> int:
    """``python -m experiments export outputs/phantom/default --out exported/phantom [--push ORG/NAME]``, or later
    ``python -m experiments export exported/phantom --push ORG/NAME``."""
    from rich.console import Console

    parser = CommandParser(prog="python -m experiments export", description=f"{__doc__} {NOTICE}")
    parser.add_argument(
        "run", type=Path, help="a finished and scored run: outputs/<dataset>/<run>; without --out an exported folder"
    )
    parser.add_argument("--out", type=Path, help="the folder to write: new, empty, or this very export again")
    parser.add_argument(
        "--data", help="prepared data whose split the memories are checked against; default: those of the training"
    )
    parser.add_argument("--push", metavar="ORG/NAME", help="then put the folder on the Hugging Face hub, as private")
    parser.add_argument("--public", action="store_true", help="with --push: as public, where the repository is new")
    parser.add_argument(
        "--let-restricted-data-leave",
        action="store_true",
        help="keep ids and texts of restricted data in the memories, and let --push take their model; "
        "for those alone who may decide that",
    )
    options = parser.parse_args(argv)
    leave: bool = options.let_restricted_data_leave
    if options.out is None and not options.push:
        raise SettingsError("name the folder to write with --out FOLDER (or, of an exported one, --push ORG/NAME)")
    if options.public and not options.push:
        raise SettingsError("--public says how a repository is made; it needs --push ORG/NAME")
    console = Console()
    folder: Path = options.run
    if options.out is not None:
        again = options.out.is_dir() and any(options.out.iterdir())
        with console.status("reading the run, writing what it needs"):
            folder = export(options.run, options.out, options.data, let_restricted_data_leave=leave)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        state = " is up to date" if again else ""
        console.print(f"{folder}{state} ({size / 2**20:,.1f} MiB); its card: {folder / 'README.md'}", soft_wrap=True)
    if options.push:
        from ammrg.inference.hub import push_to_hub

        address = push_to_hub(folder, options.push, private=not options.public, let_restricted_data_leave=leave)
        console.print(address, soft_wrap=True)
    return 0
