"""Stage 1 by folds, joined for stage 2: maps into the space of the network trained on all, and a region memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.argument_types import positive
from ammrg.commands.parser import CommandParser
from ammrg.errors import CheckpointError, SettingsError
from ammrg.missing_file import check_there
from experiments.runs.fold_join import fit_maps, fold_checkpoints, join, measure, memory_writer, show


def main(argv: Sequence[str]) -> int:
    """``python -m experiments crossfit RUN/stage1/best.ckpt RUN/cross_fit --data data/phantom --memory
    RUN/memory/regions_cross_fit``, where ``RUN/cross_fit/fold-0`` and so on hold stage 1 trained with
    ``--data.folds=K --data.left_out_fold=0`` and the regions mined with it.

    Returns:
        0.
    """
    parser = CommandParser(prog="python -m experiments crossfit", description=__doc__)
    parser.add_argument(
        "checkpoint", type=Path, help="of stage 1, trained on all: outputs/<dataset>/<run>/stage1/best.ckpt"
    )
    parser.add_argument("folder", type=Path, help="holds fold-0, fold-1, ...: each a stage1/ and a memory/")
    parser.add_argument("--data", required=True, help="the prepared folder they were trained on")
    parser.add_argument("--memory", type=Path, required=True, help="where the region memory goes, without suffix")
    parser.add_argument("--ridge", type=float, default=1e-3, help="penalty of the maps, default %(default)s")
    parser.add_argument("--batch", type=positive, default=32, help="studies at a time, default %(default)s")
    options = parser.parse_args(argv)
    if options.ridge <= 0:
        raise SettingsError(f"--ridge {options.ridge}: must be above 0, or a map has no single solution")
    check_there(options.checkpoint)

    from ammrg.memory import bank as banks
    from experiments.runs.stage import data_of_stage1
    from lightning_modules.cross_fitting import load_folds, save_cross_fit
    from lightning_modules.stage1_checkpoint import load_stage1

    stage1 = load_stage1(options.checkpoint)
    if stage1.fold is not None:
        raise CheckpointError(f"{options.checkpoint}: was trained without a fold; name the stage 1 trained on all")
    paths = fold_checkpoints(options.folder, options.checkpoint.name)
    folds = load_folds(paths, stage1)
    writer = memory_writer(options.checkpoint)
    data = data_of_stage1(stage1, options.checkpoint, options.data, options.batch)
    held_out = data.prepared.held_out()
    mined = [
        banks.load(
            path.parents[1] / "memory" / "regions",
            held_out,
            encoder_fingerprint=fold.fingerprint,
            data_fingerprint=fold.data_fingerprint,
        )
        for path, fold in zip(paths, folds, strict=True)
    ]
    maps, explained = measure(stage1, folds, fit_maps(stage1, folds, data, options.ridge), data)
    memory = join(mined, maps, stage1, writer)
    banks.save(memory, options.memory)
    measured = {"ridge": options.ridge, "explained_on_val": explained}
    save_cross_fit(options.folder, stage1, dict(zip(paths, folds, strict=True)), maps, memory.fingerprint, measured)
    show(explained, len(memory), options.memory)
    return 0
