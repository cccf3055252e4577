"""A finished run of stage 2: its network with the memories in the run's own folder, ready to write reports."""

from __future__ import annotations

from argparse import ArgumentError
from pathlib import Path
from typing import TYPE_CHECKING

from ammrg.errors import CheckpointError
from ammrg.memory.bank import bank_paths

if TYPE_CHECKING:
    from ammrg.networks.pretrained import Pretrained
    from lightning_modules.report_generation import ReportGeneration


def best_checkpoint(run: Path) -> Path:
    """The stage-2 checkpoint of a run.

    Raises:
        CheckpointError: there is none.
    """
    checkpoint = run / "stage2" / "best.ckpt"
    if not checkpoint.is_file():
        raise CheckpointError(f"{checkpoint}: not there; train the run first (make stage2), or name another")
    return checkpoint


def open_model(run: Path) -> ReportGeneration:
    """A run's best stage-2 network on the CPU, in evaluation; says which memories it reads.

    A checkpoint names its banks and its stage 1 as they lay at training. Those in ``run`` go before: a run may be
    moved, and a copy, pruned since, is not to answer from the memories of the run it was copied from.

    Raises:
        CheckpointError: stage 2 is not there, damaged, or was trained with other memories.
        MemoryBankError: a bank is missing or broken.
    """
    from experiments.settings_parser import sentence
    from lightning_modules.report_generation import ReportGeneration
    from lightning_modules.stage1_checkpoint import read_checkpoint

    checkpoint = best_checkpoint(run)
    recorded = read_checkpoint(checkpoint).get("hyper_parameters", {})
    paths = {name: Path(recorded[name]) for name in ("regions_memory", "reports_memory") if name in recorded}
    own = {name: run / "memory" / path.name for name, path in paths.items()}
    own = {name: path for name, path in own.items() if bank_paths(path)[1].is_file()}
    parts = {**own, "stage1_checkpoint": own_stage1(run, recorded["stage1_checkpoint"])}
    try:
        model = ReportGeneration.load_from_checkpoint(
            checkpoint, map_location="cpu", weights_only=True, **{name: str(path) for name, path in parts.items()}
        ).eval()
    except ArgumentError as error:
        raise CheckpointError(
            f"{checkpoint}: was trained with settings that this release does not have "
            f"({sentence(str(error)).replace('module.', 'model.', 1)}); use the release that trained it (manifest.json "
            "names it), or train it again"
        ) from error
    banks = {"regions_memory": model.network.visual_bank, "reports_memory": model.network.report_bank}
    for name, path in (paths | own).items():
        if (bank := banks[name]) is not None:
            print(f"{name.replace('_', ' ')}: {bank_paths(path)[0]}, fingerprint {bank.fingerprint}")
    return model


def own_stage1(run: Path, recorded: str) -> Path:
    """The stage-1 checkpoint of a run: the one in its folder, else where it lay at training."""
    own = run / "stage1" / Path(recorded).name
    return own if own.is_file() else Path(recorded)


def load_run(run: Path) -> Pretrained:
    """:func:`open_model` as what an exported folder gives too: with its decoding, how its films are read, and its map
    method."""
    from ammrg.imaging.processor import FilmProcessor
    from ammrg.networks.pretrained import Pretrained
    from lightning_modules.stage1_checkpoint import read_checkpoint

    model = open_model(run)
    data = read_checkpoint(best_checkpoint(run)).get("datamodule_hyper_parameters", {})
    model.network.decoding = dict(model.hparams["decoding"] or {})
    return Pretrained(model.network, FilmProcessor(model.image_size, data.get("views", "all")), model.cam)
