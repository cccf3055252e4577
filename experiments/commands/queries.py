"""``python -m experiments queries``: test whether disease query i stands for finding i."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.argument_types import positive
from ammrg.commands.parser import CommandParser
from ammrg.missing_file import check_there
from experiments.runs.query_swaps import write_query_swaps


def main(argv: Sequence[str]) -> int:
    """Run the command: ``python -m experiments queries outputs/phantom/default/stage1/best.ckpt --data data/phantom``.

    Returns:
        0.
    """
    parser = CommandParser(
        prog="python -m experiments queries",
        description="Test whether disease query i stands for finding i: put each query in the place of each other, and "
        "see where each looks.",
    )
    parser.add_argument("checkpoint", type=Path, help="checkpoint of stage 1: outputs/<dataset>/<run>/stage1/best.ckpt")
    parser.add_argument("--data", required=True, help="the prepared folder it was trained on")
    parser.add_argument("--split", default="test", choices=("train", "val", "test"), help="default %(default)s")
    parser.add_argument("--batch", type=positive, default=32, help="studies of a batch (default: %(default)s)")
    options = parser.parse_args(argv)
    check_there(options.checkpoint)
    write_query_swaps(options.checkpoint, options.data, options.split, options.batch)
    return 0
