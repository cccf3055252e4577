"""A finished run of stage 2: its network with the memories in the run's own folder, ready to write reports."""

from __future__ import annotations

from argparse import ArgumentError
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ammrg.errors import CheckpointError, DataError
from ammrg.memory.held_out import HeldOut, Unchecked

if TYPE_CHECKING:
    from ammrg.inference.report_generator import ReportGenerator
    from datamodules.prepared import PreparedFolder
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


def held_out_of(run: Path, data: str | None = None) -> HeldOut | Unchecked:
    """Whom a run's memories must not hold: the evaluation studies of ``data``, else of the data it was trained on. Of a
    run that was moved away from its data, the memories it was trained with were checked then; others are refused.

    Raises:
        CheckpointError: stage 2 is not there, or damaged.
        DataError: no prepared data in ``data``, or others than those the run was trained on.
    """
    from datamodules.prepared import PreparedFolder
    from lightning_modules.stage1_checkpoint import read_checkpoint

    kept = read_checkpoint(best_checkpoint(run))
    folder = PreparedFolder(data or kept["datamodule_hyper_parameters"]["folder"])
    try:
        check_trained_on(folder, kept["provenance"], f"--data {data}" if data else str(folder.location))
        return folder.held_out()
    except DataError as error:
        if data is not None:
            raise
        why = f"the run's data are not to be had: {error}"
        print(f"memories not checked against evaluation studies, only to be those of the training: {why}")
        return Unchecked(why)


def check_trained_on(folder: PreparedFolder, kept: Mapping[str, Any], where: str) -> None:
    """Prepared data are those that a checkpoint of this provenance (``kept``) was trained on: others name other
    evaluation studies.

    Raises:
        DataError: they are others, or not to be had; says ``where`` they lie.
    """
    if (found := folder.card["fingerprint"]) != kept["data_fingerprint"]:
        raise DataError(
            f"{where}: holds data {found}, but the run was trained on {kept['data_fingerprint']} ({kept['dataset']}); "
            "name the folder it was trained on"
        )


def open_model(run: Path, held_out: HeldOut | Unchecked) -> ReportGeneration:
    """A run's best stage-2 network on the CPU, in evaluation; says which memories it reads.

    Args:
        run: its folder.
        held_out: whom its memories must not hold, e.g. :func:`held_out_of`.

    A checkpoint names its banks and its stage 1 as they lay at training. Those in ``run`` go before: a run may be
    moved, and a copy, pruned since, is not to answer from the memories of the run it was copied from.

    Raises:
        CheckpointError: stage 2 is not there, damaged, or was trained with other memories.
        MemoryBankError: a bank is missing or broken, or holds an evaluation study.
    """
    checkpoint = best_checkpoint(run)  # before seconds of imports
    from ammrg.memory.bank_files import bank_paths
    from experiments.training.settings_parser import sentence
    from lightning_modules.memory_guard import memories_without
    from lightning_modules.report_generation import ReportGeneration
    from lightning_modules.stage1_checkpoint import read_checkpoint

    recorded = read_checkpoint(checkpoint).get("hyper_parameters", {})
    paths = {name: Path(recorded[name]) for name in ("regions_memory", "reports_memory") if name in recorded}
    own = {name: run / "memory" / path.name for name, path in paths.items()}
    own = {name: path for name, path in own.items() if bank_paths(path)[1].is_file()}
    parts = {**own, "stage1_checkpoint": own_stage1(run, recorded["stage1_checkpoint"])}
    try:
        with memories_without(held_out):
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


def load_run(run: Path, data: str | None = None) -> ReportGenerator:
    """:func:`open_model` as what an exported folder gives too: with its decoding, how its films are read, its map
    method, its data set, and how far a film lies from that; ``data`` as for :func:`held_out_of`."""
    from ammrg.imaging.processor import FilmProcessor
    from ammrg.inference.report_generator import ReportGenerator
    from lightning_modules.stage1_checkpoint import read_checkpoint

    model = open_model(run, held_out_of(run, data))
    kept = read_checkpoint(best_checkpoint(run)).get("datamodule_hyper_parameters", {})
    model.network.decoding = dict(model.hparams["decoding"] or {})
    processor = FilmProcessor(model.image_size, kept.get("views", "all"))
    return ReportGenerator(model.network, processor, model.cam, model.trained_on, model.film_distance)
