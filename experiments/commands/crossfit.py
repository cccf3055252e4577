"""``python -m experiments crossfit``: join stage 1 trained by folds, for stage 2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.argument_types import positive
from ammrg.commands.parser import CommandParser
from ammrg.errors import SettingsError
from ammrg.missing_file import check_there
from experiments.runs.fold_join import join_folds


def main(argv: Sequence[str]) -> int:
    """Run the command.

    For instance ``python -m experiments crossfit RUN/stage1/best.ckpt RUN/cross_fit --data data/phantom --memory
    RUN/memory/regions_cross_fit``. Each of ``RUN/cross_fit/fold-0``, ``fold-1`` and so on holds a stage 1 trained with
    ``--data.folds=K --data.left_out_fold=0`` (and so on), and the regions mined with it.

    Returns:
        0.
    """
    parser = CommandParser(
        prog="python -m experiments crossfit",
        description="Join stage 1 trained by folds, for stage 2: maps into the space of the network trained on all "
        "patients, and one region memory.",
    )
    parser.add_argument(
        "checkpoint",
        type=Path,
        help="checkpoint of stage 1 trained on all patients: outputs/<dataset>/<run>/stage1/best.ckpt",
    )
    parser.add_argument("folder", type=Path, help="holds fold-0, fold-1, ...: each with a stage1/ and a memory/")
    parser.add_argument("--data", required=True, help="the prepared folder they were trained on")
    parser.add_argument("--memory", type=Path, required=True, help="path of the region memory to write, without suffix")
    parser.add_argument("--ridge", type=float, default=1e-3, help="ridge penalty of the maps (default: %(default)s)")
    parser.add_argument("--batch", type=positive, default=32, help="studies of a batch (default: %(default)s)")
    options = parser.parse_args(argv)
    if options.ridge <= 0:
        raise SettingsError(f"--ridge {options.ridge}: must be above 0, or a map has no single solution")
    check_there(options.checkpoint)
    join_folds(options.checkpoint, options.folder, options.data, options.memory, options.ridge, options.batch)
    return 0
