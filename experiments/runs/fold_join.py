"""Stage 1 by folds, joined for stage 2: maps into the space of the network trained on all, and a region memory."""

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
"""Share of the variance of Q_f below which a fold's network hardly stands for the one of all."""


def fold_checkpoints(folder: Path, name: str) -> list[Path]:
    """The checkpoint of that name of each fold, in order.

    Raises:
        CheckpointError: fewer than two folds, or one between them that is not trained.
    """
    count = len(list(folder.glob("fold-*")))
    if count < 2:
        raise CheckpointError(f"{folder}: holds {count} folds (fold-0, fold-1, ...), needs at least two")
    paths = [folder / f"fold-{number}" / "stage1" / name for number in range(count)]
    for path in paths:
        if not path.is_file():
            raise CheckpointError(f"{path}: not there; train this fold first")
    return paths


def memory_writer(checkpoint: Path) -> dict[str, Any]:
    """``maps_num``, ``selection`` and ``seed`` of a stage 1's region memory.

    Raises:
        CheckpointError: no settings beside the checkpoint, or none that write a region memory.
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
    """The maps of each fold, fitted on training films of the other folds."""
    import torch
    from rich.progress import track

    from ammrg.folds import fold_of
    from ammrg.networks.cross_fit import SpaceFit

    device = "cuda" if torch.cuda.is_available() else "cpu"
    fits = [SpaceFit(stage1.classifier.width, stage1.classifier.encoder.token_width) for _ in folds]
    target, *networks = [fold.classifier.to(device) for fold in (stage1, *folds)]
    with torch.no_grad():
        for batch in track(data.evaluation_loader("train", alone=True), "maps between the folds' spaces"):
            own = torch.tensor([fold_of(subject, len(folds)) for subject in batch.subject_ids])[batch.study_of_view]
            images = batch.images.to(device)
            said = target(images)
            for number, (fit, network) in enumerate(zip(fits, networks, strict=True)):
                others = (own != number).nonzero().flatten().to(device)
                if len(others):
                    fit.add(network(images[others]), said.take(others))
    return [fit.solve(ridge) for fit in fits]


def measure(
    stage1: Stage1, folds: Sequence[Stage1], maps: Sequence[SpaceMaps], data: StudyDataModule
) -> tuple[list[SpaceMaps], list[dict[str, float]]]:
    """Look at validation films, which no network was trained on.

    Returns:
        (the maps, with logits as the network of all has them; of each fold and space, how much of what the network of
        all says the fold's says too: R squared over all numbers of that space, weighted by their variance).
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
        for batch in track(data.evaluation_loader("val", alone=True), "validation films, read by all of them"):
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
    """One region memory of the folds' regions, in the space of the network trained on all and with its queries, chosen
    anew with the settings of the run's own (``writer``)."""
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
    """What was measured, and where the memory lies."""
    from rich.console import Console
    from rich.table import Table

    print("share of variance of what the stage 1 of all says of validation films that a fold's, mapped, explains")
    table = Table()
    table.add_column("space")
    for number in range(len(explained)):
        table.add_column(f"fold {number}", justify="right")
    for space in SPACES:
        table.add_row(space.replace("_", " "), *(f"{shares[space]:.0%}" for shares in explained))
    Console().print(table)
    if min(shares["queries"] for shares in explained) < LITTLE:
        print(f"below {LITTLE:.0%}: the networks of the folds say little of what that of all does; take more folds")
    print(f"{memory}: {patterns} patterns, mined out of fold")
