"""Stage 1 trained by folds, joined for stage 2.

Stage 2 reads each training film with the network of a fold that never saw its patient. Linear maps take what these
networks compute into the space of the stage 1 trained on all patients, so that stage 2 sees one space and one region
memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ammrg.errors import CheckpointError
from experiments.runs.stage import Stage

if TYPE_CHECKING:
    from ammrg.memory.bank import MemoryBank
    from ammrg.networks.cross_fit import SpaceMaps
    from datamodules.studies import StudyDataModule
    from lightning_modules.stage1_checkpoint import Stage1

SPACES = ("queries", "raw_tokens", "tokens")
LITTLE = 0.5
"""Lowest share of the variance of Q_f that a fold's network should explain.

Below it, the fold's network is a poor substitute for the one trained on all patients.
"""


def join_folds(checkpoint: Path, folder: Path, data_folder: str, memory: Path, ridge: float, batch: int) -> None:
    """Fit the maps, join the folds' region memories, write both and print how well the maps fit.

    Args:
        checkpoint: of the stage 1 trained on all patients.
        folder: holds ``fold-0``, ``fold-1`` and so on, each with ``stage1/`` and ``memory/``; ``cross_fit.json`` is
            written there.
        data_folder: the prepared data they were trained on.
        memory: path of the region memory to write, without suffix.
        ridge: penalty of the maps, above 0.
        batch: studies of a batch.

    Raises:
        CheckpointError: a checkpoint is missing, does not fit the others, or was trained on other data.
        MemoryBankError: a fold's region memory is missing or refused.
    """
    from ammrg.memory import bank_files as banks
    from experiments.runs.stage import data_of_stage1
    from lightning_modules.cross_fitting import load_folds, save_cross_fit
    from lightning_modules.stage1_checkpoint import load_stage1

    stage1 = load_stage1(checkpoint)
    if stage1.fold is not None:
        raise CheckpointError(
            f"{checkpoint}: one fold was left out of its training; name the stage 1 trained on all patients"
        )
    paths = fold_checkpoints(folder, checkpoint.name)
    folds = load_folds(paths, stage1)
    writer = memory_writer(checkpoint)
    data = data_of_stage1(stage1, checkpoint, data_folder, batch)
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
    maps, explained = measure(stage1, folds, fit_maps(stage1, folds, data, ridge), data)
    joined = join(mined, maps, stage1, writer)
    banks.save(joined, memory)
    measured = {"ridge": ridge, "explained_on_val": explained}
    save_cross_fit(folder, stage1, dict(zip(paths, folds, strict=True)), maps, joined.fingerprint, measured)
    show(explained, len(joined), memory)


def fold_checkpoints(folder: Path, name: str) -> list[Path]:
    """The checkpoint ``name`` of each fold, in order.

    Raises:
        CheckpointError: there are fewer than two folds, or one of them is not trained.
    """
    count = len(list(folder.glob("fold-*")))
    if count < 2:
        raise CheckpointError(f"{folder}: holds {count} folds (fold-0, fold-1, ...), must hold at least two")
    paths = [folder / f"fold-{number}" / "stage1" / name for number in range(count)]
    for path in paths:
        if not path.is_file():
            raise CheckpointError(f"{path}: not there; train this fold first")
    return paths


def memory_writer(checkpoint: Path) -> dict[str, Any]:
    """The settings ``maps_num``, ``selection`` and ``seed`` with which a stage 1 writes its region memory.

    Raises:
        CheckpointError: ``config.yaml`` is not beside the checkpoint, or names no ``RegionMemoryWriter``.
    """
    for callback in Stage(checkpoint.parent).setting("trainer", "callbacks") or ():
        if callback["class_path"].endswith("RegionMemoryWriter"):
            kept = callback.get("init_args", {})
            return {name: kept[name] for name in ("maps_num", "selection", "seed")}
    raise CheckpointError(
        f"{checkpoint.parent / 'config.yaml'}: trainer.callbacks holds no RegionMemoryWriter, which says how regions "
        "are chosen"
    )


def fit_maps(stage1: Stage1, folds: Sequence[Stage1], data: StudyDataModule, ridge: float) -> list[SpaceMaps]:
    """Fit the maps of each fold's network on the training films of the other folds, which it was trained on."""
    import torch
    from rich.progress import track

    from ammrg.folds import fold_of
    from ammrg.networks.cross_fit import SpaceFit

    device = "cuda" if torch.cuda.is_available() else "cpu"
    fits = [SpaceFit(stage1.classifier.width, stage1.classifier.encoder.token_width) for _ in folds]
    target, *networks = [fold.classifier.to(device) for fold in (stage1, *folds)]
    with torch.no_grad():
        for batch in track(data.evaluation_loader("train", alone=True), "fitting the maps of the folds"):
            own = torch.tensor([fold_of(subject, len(folds)) for subject in batch.subject_ids])[batch.study_of_view]
            images = batch.images.to(device)
            wanted = target(images)
            for number, (fit, network) in enumerate(zip(fits, networks, strict=True)):
                others = (own != number).nonzero().flatten().to(device)
                if len(others):
                    fit.add(network(images[others]), wanted.take(others))
    return [fit.solve(ridge) for fit in fits]


def measure(
    stage1: Stage1, folds: Sequence[Stage1], maps: Sequence[SpaceMaps], data: StudyDataModule
) -> tuple[list[SpaceMaps], list[dict[str, float]]]:
    """Measure the maps on validation films, which no network was trained on.

    Returns:
        The maps, with logits of the same spread as the target network's; and for each fold, space -> the share of
        the target network's variance that the mapped fold explains (R squared over all numbers of the space, weighted
        by their variance; at most 1).
    """
    import torch
    from rich.progress import track
    from torchmetrics.regression import R2Score

    from ammrg.networks.cross_fit import mapped, same_spread

    device = next(stage1.classifier.parameters()).device
    shares = [{space: R2Score(multioutput="variance_weighted") for space in SPACES} for _ in folds]
    logits: list[list[torch.Tensor]] = [[] for _ in folds]
    target_logits: list[torch.Tensor] = []
    with torch.no_grad():
        for batch in track(data.evaluation_loader("val", alone=True), "measuring on validation films"):
            images = batch.images.to(device)
            target = stage1.classifier(images)
            target_logits.append(target.logits.float().cpu())
            for fold, affines, kept, own_logits in zip(folds, maps, shares, logits, strict=True):
                own = fold.classifier(images)
                own_logits.append(own.logits.float().cpu())
                for space, score in kept.items():
                    affine, rows, truth = (getattr(part, space).float().cpu() for part in (affines, own, target))
                    numbers = len(affine) * truth.shape[-1]
                    score.update(mapped(rows, affine).reshape(-1, numbers), truth.reshape(-1, numbers))
    wanted = torch.cat(target_logits)
    alike = [fold._replace(logits=same_spread(torch.cat(own), wanted)) for fold, own in zip(maps, logits, strict=True)]
    return alike, [{space: float(score.compute()) for space, score in kept.items()} for kept in shares]


def join(
    mined: Sequence[MemoryBank], maps: Sequence[SpaceMaps], stage1: Stage1, writer: Mapping[str, Any]
) -> MemoryBank:
    """Join the folds' regions into one region memory in the space of the network trained on all patients.

    Args:
        mined: the folds' region memories.
        maps: the maps of each fold.
        stage1: the stage 1 trained on all patients; its disease queries are the memory's.
        writer: the settings by which regions are selected, from :func:`memory_writer`.
    """
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
        regions = mapped(bank.patterns[NUM_FINDINGS:], fold.tokens)
        meta = replace(bank.meta, encoder_fingerprint=stage1.fingerprint)
        moved.append(replace(bank, patterns=torch.cat([queries, regions]), meta=meta))
    whole = reduce(extend, moved)
    rows = select(
        whole.patterns[NUM_FINDINGS:],
        whole.findings[NUM_FINDINGS:],
        per_finding=writer["maps_num"],
        method=writer["selection"],
        seed=writer["seed"],
    )
    return whole.take(torch.cat([torch.arange(NUM_FINDINGS), rows + NUM_FINDINGS]))


def show(explained: Sequence[Mapping[str, float]], patterns: int, memory: Path) -> None:
    """Print how much of the variance the maps explain, and where the memory was written."""
    from rich.console import Console
    from rich.table import Table

    print("variance of the stage 1 trained on all patients that each mapped fold explains, on validation films")
    table = Table()
    table.add_column("space")
    for number in range(len(explained)):
        table.add_column(f"fold {number}", justify="right")
    for space in SPACES:
        table.add_row(space.replace("_", " "), *(f"{shares[space]:.0%}" for shares in explained))
    Console().print(table)
    if min(shares["queries"] for shares in explained) < LITTLE:
        print(f"below {LITTLE:.0%}: a fold's network differs much from the one trained on all; use more folds")
    print(f"{memory}: {patterns} patterns, mined out of fold")
