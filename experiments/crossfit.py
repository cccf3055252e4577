"""Stage 1 by folds, joined for stage 2: maps into the space of the network trained on all, and a region memory."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ammrg.errors import CheckpointError, SettingsError

if TYPE_CHECKING:
    from ammrg.memory.bank import MemoryBank
    from ammrg.networks.cross_fit import SpaceMaps
    from datamodules.studies import StudyDataModule
    from lightning_modules.stage1_checkpoint import Stage1

SPACES = ("queries", "raw_tokens", "tokens")


def main(argv: Sequence[str]) -> int:
    """``python -m experiments crossfit RUN/stage1/best.ckpt RUN/cross_fit --data data/phantom --memory
    RUN/memory/regions_cross_fit``, where ``RUN/cross_fit/fold-0`` and so on hold stage 1 trained with
    ``--data.folds=K --data.left_out_fold=0`` and the regions mined with it.

    Returns:
        0.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments crossfit", description=__doc__)
    parser.add_argument(
        "checkpoint", type=Path, help="of stage 1, trained on all: outputs/<dataset>/<run>/stage1/best.ckpt"
    )
    parser.add_argument("folder", type=Path, help="holds fold-0, fold-1, ...: each a stage1/ and a memory/")
    parser.add_argument("--data", required=True, help="the prepared folder they were trained on")
    parser.add_argument("--memory", type=Path, required=True, help="where the region memory goes, without suffix")
    parser.add_argument("--ridge", type=float, default=1e-3, help="penalty of the maps, default %(default)s")
    parser.add_argument("--batch", type=int, default=32, help="studies at a time, default %(default)s")
    options = parser.parse_args(argv)
    if options.ridge <= 0:
        raise SettingsError(f"--ridge {options.ridge}: must be above 0, or a map has no single solution")

    from ammrg.memory import bank as banks
    from datamodules.studies import StudyDataModule
    from lightning_modules.cross_fitting import load_folds, save_cross_fit
    from lightning_modules.stage1_checkpoint import load_stage1

    stage1 = load_stage1(options.checkpoint)
    if stage1.fold is not None:
        raise CheckpointError(f"{options.checkpoint}: was trained without a fold; name the stage 1 trained on all")
    paths = fold_checkpoints(options.folder, options.checkpoint.name)
    folds = load_folds(paths, stage1)
    data = StudyDataModule(
        options.data, stage1.image_size, eval_batch_size=options.batch, **as_trained(options.checkpoint)
    )
    if data.card["fingerprint"] != stage1.data_fingerprint:
        raise CheckpointError(
            f"{options.checkpoint} was trained on data {stage1.data_fingerprint}, {options.data} has fingerprint "
            f"{data.card['fingerprint']}: name the folder it was trained on"
        )
    mined = [
        banks.load(
            path.parents[1] / "memory" / "regions",
            encoder_fingerprint=fold.fingerprint,
            data_fingerprint=fold.data_fingerprint,
        )
        for path, fold in zip(paths, folds, strict=True)
    ]
    maps = fit_maps(stage1, folds, data, options.ridge)
    explained = measure(stage1, folds, maps, data)
    memory = join(mined, maps, stage1)
    banks.save(memory, options.memory)
    save_cross_fit(options.folder, stage1, paths, maps, {"ridge": options.ridge, "explained_on_val": explained})
    show(explained, len(memory), options.memory)
    return 0


def fold_checkpoints(folder: Path, name: str) -> list[Path]:
    """The checkpoint of that name of each fold, in order.

    Raises:
        CheckpointError: fewer than two folds, or one between them that is not trained.
    """
    count = len(list(folder.glob("fold-*")))
    paths = [folder / f"fold-{number}" / "stage1" / name for number in range(count)]
    missing = [str(path) for path in paths if not path.is_file()]
    if count < 2 or missing:
        raise CheckpointError(f"{missing[0] if missing else folder}: needs at least two folds, each trained and mined")
    return paths


def as_trained(checkpoint: Path) -> dict[str, Any]:
    """Which films of a study stage 1 was trained on."""
    from lightning_modules.stage1_checkpoint import read_checkpoint

    return {"views": read_checkpoint(checkpoint).get("datamodule_hyper_parameters", {}).get("views", "all")}


def fit_maps(stage1: Stage1, folds: Sequence[Stage1], data: StudyDataModule, ridge: float) -> list[SpaceMaps]:
    """The maps of each fold, fitted on the training studies of the other folds."""
    import torch
    from rich.progress import track

    from ammrg.folds import fold_of
    from ammrg.networks.cross_fit import SpaceFit

    device = "cuda" if torch.cuda.is_available() else "cpu"
    widths = stage1.classifier.width, stage1.classifier.encoder.token_width
    fits = [SpaceFit(*widths) for _ in folds]
    networks = [fold.classifier.to(device) for fold in (stage1, *folds)]
    with torch.no_grad():
        for batch in track(data.evaluation_loader("train", alone=True), "maps between the folds' spaces"):
            own = torch.tensor([fold_of(subject, len(folds)) for subject in batch.subject_ids])[batch.study_of_view]
            for number, fit in enumerate(fits):
                images = batch.images[own != number].to(device)
                if len(images):
                    fit.add(networks[number + 1](images), networks[0](images))
    return [fit.solve(ridge) for fit in fits]


def measure(
    stage1: Stage1, folds: Sequence[Stage1], maps: Sequence[SpaceMaps], data: StudyDataModule
) -> dict[str, list[float]]:
    """How much of what the network of all says of validation films, which no network was trained on, the maps explain:
    of each space a share of variance (R squared) for each fold."""
    import torch
    from rich.progress import track
    from torchmetrics.regression import R2Score

    from ammrg.networks.cross_fit import mapped

    device = next(stage1.classifier.parameters()).device
    scores = {space: [R2Score(multioutput="variance_weighted") for _ in folds] for space in SPACES}
    with torch.no_grad():
        for batch in track(data.evaluation_loader("val", alone=True), "how well they fit on validation"):
            images = batch.images.to(device)
            target = stage1.classifier(images)
            for number, fold in enumerate(folds):
                said = fold.classifier(images)
                for space, kept in scores.items():
                    affine = getattr(maps[number], space).to(device)
                    rows, truth = (getattr(part, space).float() for part in (said, target))
                    grouped = rows if len(affine) > 1 else rows.flatten(0, 1)[:, None]
                    found = mapped(grouped, affine).reshape(-1, truth[0, 0].numel() * len(affine))
                    kept[number].update(found.cpu(), truth.reshape(found.shape).cpu())
    return {space: [float(score.compute()) for score in kept] for space, kept in scores.items()}


def join(mined: Sequence[MemoryBank], maps: Sequence[SpaceMaps], stage1: Stage1) -> MemoryBank:
    """One region memory of the folds' regions, in the space of the network trained on all and with its queries; of each
    finding at most as many as one fold's bank may hold."""
    from dataclasses import replace
    from functools import reduce

    import torch

    from ammrg.findings import NUM_FINDINGS
    from ammrg.memory.editing import extend
    from ammrg.memory.selection import select
    from ammrg.networks.cross_fit import mapped

    queries = stage1.classifier.qformer.disease_queries.detach().float().cpu()
    moved = []
    for bank, fold in zip(mined, maps, strict=True):
        regions = mapped(bank.patterns[NUM_FINDINGS:, None], fold.tokens)[:, 0]
        meta = replace(bank.meta, encoder_fingerprint=stage1.fingerprint)
        moved.append(replace(bank, patterns=torch.cat([queries, regions]), meta=meta))
    whole = reduce(extend, moved)
    most = max(int(bank.findings[NUM_FINDINGS:].bincount().max()) for bank in mined)
    method: Any = mined[0].meta.selection
    patterns, findings = whole.patterns[NUM_FINDINGS:], whole.findings[NUM_FINDINGS:]
    rows = select(patterns, findings, per_finding=most, method=method, seed=mined[0].meta.seed) + NUM_FINDINGS
    return whole.take(torch.cat([torch.arange(NUM_FINDINGS), rows]))


def show(explained: dict[str, list[float]], patterns: int, memory: Path) -> None:
    """What was measured, and where the memory lies."""
    from rich.console import Console
    from rich.table import Table

    print("share of variance of what the stage 1 of all says of validation films that a fold's, mapped, explains")
    table = Table()
    table.add_column("space")
    for number in range(len(explained["queries"])):
        table.add_column(f"fold {number}", justify="right")
    for space, shares in explained.items():
        table.add_row(space.replace("_", " "), *(f"{share:.0%}" for share in shares))
    Console().print(table)
    print(f"{memory}: {patterns} patterns, mined out of fold")
