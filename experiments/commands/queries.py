"""Does disease query i mean finding i? Each query in each other's place, and where each looks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.argument_types import positive
from ammrg.commands.parser import CommandParser
from ammrg.missing_file import check_there
from experiments.runs.query_swaps import examine, show


def main(argv: Sequence[str]) -> int:
    """``python -m experiments queries outputs/phantom/default/stage1/best.ckpt --data data/phantom``.

    Writes ``queries_<split>.json`` beside the checkpoint.

    Returns:
        0.
    """
    parser = CommandParser(prog="python -m experiments queries", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="of stage 1: outputs/<dataset>/<run>/stage1/best.ckpt")
    parser.add_argument("--data", required=True, help="the prepared folder it was trained on")
    parser.add_argument("--split", default="test", choices=("train", "val", "test"), help="default %(default)s")
    parser.add_argument("--batch", type=positive, default=32, help="studies at a time, default %(default)s")
    options = parser.parse_args(argv)
    check_there(options.checkpoint)
    found = examine(options.checkpoint, options.data, options.split, options.batch)

    from ammrg.atomic import write_json

    path = options.checkpoint.parent / f"queries_{options.split}.json"
    write_json(path, found)
    show(found, f"{options.checkpoint}, {options.split}")
    print(path)
    return 0
