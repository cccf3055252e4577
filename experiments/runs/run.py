"""``Run``: one run's folder, and all that can be opened from it."""

from __future__ import annotations

import importlib
from argparse import ArgumentError
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ammrg.errors import CheckpointError, DataError
from ammrg.memory.held_out import HeldOut, Unchecked
from experiments.runs.stage import Stage

if TYPE_CHECKING:
    from ammrg.inference.pretrained import Pretrained
    from datamodules.prepared import PreparedFolder
    from datamodules.studies import StudyDataModule
    from lightning_modules.report_generation import ReportGeneration

MEMORIES = ("regions_memory", "reports_memory")
"""Settings of stage 2 that name a bank."""


class Run:
    """A run: ``outputs/<dataset>/<name>`` with its two stages, its memory banks and its reports.

    A run may be moved or copied: what lies in its folder goes before what its checkpoints name, and what they name by
    a relative path (data, language model) is looked for from the folder upwards.

    Attributes:
        folder: of the run.
        stage1, stage2: its stages.
        memory: folder of its banks.
        reports: ``reports.jsonl``, with ``reports.meta.json`` and ``scores.json`` beside it.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.stage1, self.stage2 = Stage(self.folder / "stage1"), Stage(self.folder / "stage2")
        self.memory = self.folder / "memory"
        self.reports = self.folder / "reports.jsonl"
        self.reports_meta = self.folder / "reports.meta.json"
        self.scores = self.folder / "scores.json"

    # --- places -----------------------------------------------------------------------------------------------------
    def find(self, path: str) -> str:
        """A path that the run's settings name: from the nearest folder above the run where it lies, else as it is (an
        absolute path, an address of object storage, a hub id)."""
        if "://" in path or Path(path).expanduser().is_absolute():
            return path
        above = (parent / path for parent in self.folder.resolve().parents)
        return str(next((place for place in above if place.exists()), path))

    @property
    def checkpoint(self) -> Path:
        """The best checkpoint of stage 2.

        Raises:
            CheckpointError: there is none.
        """
        path = self.stage2.checkpoint
        if not path.is_file():
            raise CheckpointError(f"{path}: not there; train the run first (make stage2), or name another")
        return path

    @cached_property
    def kept(self) -> dict[str, Any]:
        """What the best checkpoint of stage 2 holds.

        Raises:
            CheckpointError: it is not there, or damaged.
        """
        path = self.checkpoint  # before seconds of imports
        from lightning_modules.stage1_checkpoint import read_checkpoint

        return read_checkpoint(path)

    @property
    def stage1_checkpoint(self) -> Path:
        """The stage 1 that stage 2 stands on: the one in the run's folder, else where it lay at training."""
        recorded = self.kept["hyper_parameters"]["stage1_checkpoint"]
        own = self.stage1.folder / Path(recorded).name
        return own if own.is_file() else Path(self.find(recorded))

    # --- data -------------------------------------------------------------------------------------------------------
    @cached_property
    def data(self) -> StudyDataModule:
        """The data of stage 2, as its settings read them.

        Raises:
            CheckpointError: its settings or its checkpoint are not there.
            DataError: the data are not there, or others lie in their place.
        """
        data = self.unchecked_data
        self.check_data(data.prepared, str(data.prepared.location))
        return data

    @cached_property
    def unchecked_data(self) -> StudyDataModule:
        """As ``data``, whether or not they are those of the training; no memory is opened with them.

        Raises:
            CheckpointError: the settings of stage 2 are not there.
            DataError: no prepared data there.
        """
        module, _, name = self.stage2.setting("data", "class_path").rpartition(".")
        settings = self.stage2.setting("data", "init_args")
        made = getattr(importlib.import_module(module), name)
        data: StudyDataModule = made(**{**settings, "folder": self.find(settings["folder"])})
        return data

    def data_folder(self, folder: str | None = None) -> str:
        """Where the prepared data lie: in ``folder``, else where the run's checkpoint names them."""
        return folder or self.find(self.kept["datamodule_hyper_parameters"]["folder"])

    def check_data(self, prepared: PreparedFolder, where: str) -> None:
        """Refuse prepared data other than those the run was trained on: they name other evaluation studies.

        Raises:
            DataError: says ``where`` they lie.
        """
        kept = self.kept["provenance"]
        if (found := prepared.card["fingerprint"]) != kept["data_fingerprint"]:
            raise DataError(
                f"{where}: holds data {found}, but the run was trained on {kept['data_fingerprint']} "
                f"({kept['dataset']}); name the folder it was trained on"
            )

    def held_out(self, folder: str | None = None) -> HeldOut | Unchecked:
        """Whom the run's memories must not hold: the evaluation studies of its data.

        Args:
            folder: the prepared data; None takes those of the training. Of a run that was moved away from them, the
                memories it was trained with were checked then; others are refused.

        Raises:
            CheckpointError: stage 2 is not there, or damaged.
            DataError: no prepared data in ``folder``, or others than those of the training.
        """
        from datamodules.prepared import PreparedFolder

        place = self.data_folder(folder)
        try:
            prepared = PreparedFolder(place)
            self.check_data(prepared, f"--data {folder}" if folder else str(prepared.location))
            return prepared.held_out()
        except DataError as error:
            if folder is not None:
                raise
            why = f"the run's data are not to be had: {error}"
            print(f"memories not checked against evaluation studies, only to be those of the training: {why}")
            return Unchecked(why)

    # --- network ----------------------------------------------------------------------------------------------------
    def model(self, held_out: HeldOut | Unchecked | None = None) -> ReportGeneration:
        """The network of stage 2 on the CPU, in evaluation; says which memories it reads.

        Args:
            held_out: whom its memories must not hold; None takes the evaluation studies of :attr:`data`.

        Raises:
            CheckpointError: stage 2 is not there, damaged, or was trained with other memories.
            MemoryBankError: a bank is missing or broken, or holds an evaluation study.
        """
        recorded = self.kept.get("hyper_parameters", {})
        whom = self.data.prepared.held_out() if held_out is None else held_out
        from ammrg.memory.bank import bank_paths
        from experiments.runs.setting_errors import sentence
        from lightning_modules.memory_guard import memories_without
        from lightning_modules.report_generation import ReportGeneration

        # The banks in the run's folder, even where those of the training are still there: a copy of a run that was
        # pruned since is not to answer from the memories it was copied from.
        banks = {name: self.memory / Path(recorded[name]).name for name in MEMORIES if name in recorded}
        banks = {
            name: path if bank_paths(path)[1].is_file() else Path(self.find(recorded[name]))
            for name, path in banks.items()
        }
        places: dict[str, Any] = {name: str(path) for name, path in banks.items()}
        places["stage1_checkpoint"] = str(self.stage1_checkpoint)
        if "language_model" in recorded:
            places["language_model"] = self.find(recorded["language_model"])
        try:
            with memories_without(whom):
                model = ReportGeneration.load_from_checkpoint(
                    self.checkpoint, map_location="cpu", weights_only=True, **places
                ).eval()
        except ArgumentError as error:
            raise CheckpointError(
                f"{self.checkpoint}: was trained with settings that this release does not have "
                f"({sentence(str(error)).replace('module.', 'model.', 1)}); use the release that trained it "
                "(manifest.json names it), or train it again"
            ) from error
        opened = {"regions_memory": model.network.visual_bank, "reports_memory": model.network.report_bank}
        for name, path in banks.items():
            if (bank := opened[name]) is not None:
                print(f"{name.replace('_', ' ')}: {bank_paths(path)[0]}, fingerprint {bank.fingerprint}")
        return model

    def generator(self, folder: str | None = None) -> Pretrained:
        """The run as an exported folder gives it too: its network, its decoding, how its films are read, its map
        method, its data set, and how far a film lies from that.

        Args:
            folder: of prepared data, as for :meth:`held_out`.
        """
        from ammrg.imaging.processor import FilmProcessor
        from ammrg.inference.pretrained import Pretrained

        model = self.model(self.held_out(folder))
        data = self.kept.get("datamodule_hyper_parameters", {})
        model.network.decoding = dict(model.hparams["decoding"] or {})
        processor = FilmProcessor(model.image_size, data.get("views", "all"))
        return Pretrained(model.network, processor, model.cam, model.trained_on, model.film_distance)
