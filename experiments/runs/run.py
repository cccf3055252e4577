"""``Run``: one run's folder, and everything that can be opened from it."""

from __future__ import annotations

import importlib
from argparse import ArgumentError
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ammrg.errors import CheckpointError, DataError
from ammrg.memory.held_out import HeldOut, Unchecked
from ammrg.missing_file import advice
from experiments.runs.stage import Stage, read_json

if TYPE_CHECKING:
    from ammrg.inference.report_generator import ReportGenerator
    from datamodules.prepared import PreparedFolder
    from datamodules.studies import StudyDataModule
    from lightning_modules.report_generation import ReportGeneration

MEMORIES = ("regions_memory", "reports_memory")
"""The settings of stage 2 that name a memory bank."""


class Run:
    """A run: the folder ``outputs/<dataset>/<name>`` with two stages, memory banks and reports.

    A run may be moved or copied. Files in its folder take precedence over the paths in its checkpoints, and relative
    paths (data, language model) are searched from the folder upwards. A folder with a second stage alone, such as
    ``reward`` within a run, has the first stage and the memory of the run around it.

    Attributes:
        folder: the run's folder.
        stage1: its first stage.
        stage2: its second stage.
        memory: the folder of its banks.
        reports: path of ``reports.jsonl``.
        reports_meta: path of ``reports.meta.json``, which says what the reports were written with.
        scores: path of ``scores.json``.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        around = self.folder.resolve().parent
        within = not (self.folder / "stage1").is_dir() and (around / "stage1").is_dir()
        home = around if within else self.folder
        self.stage1, self.stage2 = Stage(home / "stage1"), Stage(self.folder / "stage2")
        self.memory = home / "memory"
        self.reports = self.folder / "reports.jsonl"
        self.reports_meta = self.folder / "reports.meta.json"
        self.scores = self.folder / "scores.json"

    # --- places -----------------------------------------------------------------------------------------------------
    def find(self, path: str) -> str:
        """Find a path that the run's settings name.

        Returns:
            The path in the nearest folder above the run that has it. Unchanged are absolute paths, addresses of object
            storage, hub ids and paths that are not found.
        """
        if "://" in path or Path(path).expanduser().is_absolute():
            return path
        above = (parent / path for parent in self.folder.resolve().parents)
        return str(next((place for place in above if place.exists()), path))

    @property
    def checkpoint(self) -> Path:
        """Path of the best checkpoint of stage 2.

        Raises:
            CheckpointError: it does not exist.
        """
        path = self.stage2.checkpoint
        if not path.is_file():
            raise CheckpointError(f"{path}: no trained run (make stage2 trains one); {advice(path)}")
        return path

    @cached_property
    def kept(self) -> dict[str, Any]:
        """The content of the best checkpoint of stage 2.

        Raises:
            CheckpointError: the checkpoint does not exist, or is damaged.
        """
        path = self.checkpoint  # a missing one is an error before seconds of imports
        from lightning_modules.stage1_checkpoint import read_checkpoint

        return read_checkpoint(path)

    @property
    def stage1_checkpoint(self) -> Path:
        """Path of the stage-1 checkpoint of stage 2: in the run's folder, or else where it was at training."""
        recorded = self.kept["hyper_parameters"]["stage1_checkpoint"]
        own = self.stage1.folder / Path(recorded).name
        return own if own.is_file() else Path(self.find(recorded))

    # --- data -------------------------------------------------------------------------------------------------------
    @cached_property
    def data(self) -> StudyDataModule:
        """The data module of stage 2, checked to be the data of the training.

        Raises:
            CheckpointError: the settings or the checkpoint of stage 2 do not exist.
            DataError: there are no prepared data, or not those of the training.
        """
        data = self.unchecked_data
        self.check_data(data.prepared, str(data.prepared.location))
        return data

    @cached_property
    def unchecked_data(self) -> StudyDataModule:
        """The data module of stage 2, not checked to be the data of the training; open no memory with it.

        Raises:
            CheckpointError: the settings of stage 2 do not exist, or are those of another stage.
            DataError: there are no prepared data.
        """
        module, _, name = self.stage2.setting("data", "class_path").rpartition(".")
        settings = self.stage2.setting("data", "init_args")
        if (trained := self.stage2.setting("model", "class_path").rpartition(".")[2]) != "ReportGeneration":
            raise CheckpointError(
                f"{self.stage2.folder / 'config.yaml'}: holds the settings of {trained}, which is not stage 2; copy it "
                "from the stage2 folder of the run"
            )
        made = getattr(importlib.import_module(module), name)
        data: StudyDataModule = made(**{**settings, "folder": self.find(settings["folder"])})
        return data

    def data_folder(self, folder: str | None = None) -> str:
        """Folder of the prepared data: ``folder`` if it is given, or else the one that the checkpoint names."""
        return folder or self.find(self.kept["datamodule_hyper_parameters"]["folder"])

    def check_data(self, prepared: PreparedFolder, where: str) -> None:
        """Refuse prepared data that the run was not trained on, because their evaluation studies differ.

        Args:
            prepared: the prepared data.
            where: how the error names them.

        Raises:
            DataError: the run was trained on other data.
        """
        kept = self.kept["provenance"]
        if (found := prepared.card["fingerprint"]) != kept["data_fingerprint"]:
            raise DataError(
                f"{where}: holds data {found}, but the run was trained on {kept['data_fingerprint']} "
                f"({kept['dataset']}); name the folder it was trained on"
            )

    def held_out(self, folder: str | None = None) -> HeldOut | Unchecked:
        """The studies and patients that the run's memories must not hold: those of the evaluation splits.

        Args:
            folder: the prepared data; None takes those of the training. If these are not found, because the run was
                moved, the result is ``Unchecked``: the memories were checked at training, and others are refused.

        Raises:
            CheckpointError: the checkpoint of stage 2 does not exist, or is damaged.
            DataError: ``folder`` holds no prepared data, or not those of the training.
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
            why = f"the run's data were not found: {error}"
            print(f"memories not checked against evaluation studies, only to be those of the training: {why}")
            return Unchecked(why)

    # --- network ----------------------------------------------------------------------------------------------------
    @property
    def has_own_reports(self) -> bool:
        """Whether the run's reports were written by its checkpoint, as ``reports.meta.json`` says.

        Raises:
            ScoringError: that file is damaged.
        """
        from ammrg.evaluation.reports_meta import named_beside
        from ammrg.fingerprints import file_fingerprint

        return named_beside(self.reports, "checkpoint") == file_fingerprint(self.checkpoint)

    def model(self, held_out: HeldOut | Unchecked | None = None) -> ReportGeneration:
        """Load the network of stage 2 on the CPU in evaluation mode, and print which memories it reads.

        Args:
            held_out: the studies and patients that its memories must not hold; None takes the evaluation studies of
                :attr:`data`.

        Raises:
            CheckpointError: the checkpoint of stage 2 does not exist, is damaged, or was trained with other memories.
            MemoryBankError: a bank is missing or broken, or holds an evaluation study.
        """
        recorded = self.kept.get("hyper_parameters", {})
        refused = self.data.prepared.held_out() if held_out is None else held_out
        from ammrg.evaluation.reports_meta import decoding_in
        from ammrg.memory.bank_files import bank_paths
        from experiments.runs.setting_errors import sentence
        from lightning_modules.memory_guard import memories_without
        from lightning_modules.report_generation import ReportGeneration

        # The banks in the run's folder take precedence over those that the checkpoint names: if studies were withdrawn
        # from a copied run, it must not read the memories of the original.
        def bank_of(path: str) -> str:
            own = self.memory / Path(path).name
            return str(own) if bank_paths(own)[1].is_file() else self.find(path)

        banks = {name: bank_of(recorded[name]) for name in MEMORIES if name in recorded}
        places: dict[str, Any] = {**banks, "stage1_checkpoint": str(self.stage1_checkpoint)}
        if further := recorded.get("further_memories"):
            places["further_memories"] = {name: bank_of(path) for name, path in further.items()}
        if "language_model" in recorded:
            places["language_model"] = self.find(recorded["language_model"])
        try:
            with memories_without(refused):
                model = ReportGeneration.load_from_checkpoint(
                    self.checkpoint, map_location="cpu", weights_only=True, **places
                ).eval()
        except ArgumentError as error:
            raise CheckpointError(
                f"{self.checkpoint}: was trained with settings that this release does not know "
                f"({sentence(str(error)).replace('module.', 'model.', 1)}); use the release that trained it "
                "(named in manifest.json), or train it again"
            ) from error
        decoded = decoding_in(self.folder) if self.has_own_reports else None
        if decoded is not None:  # a run decodes as its scored reports were, also where the command line said how
            model.hparams["decoding"] = decoded
        opened = {"regions_memory": model.network.visual_bank, "reports_memory": model.network.report_bank}
        for name, path in banks.items():
            if (bank := opened[name]) is not None:
                print(f"{name.replace('_', ' ')}: {bank_paths(path)[0]}, fingerprint {bank.fingerprint}")
        return model

    def generator(self, folder: str | None = None) -> ReportGenerator:
        """Load the run in the same form as an exported folder.

        That is the network with its decoding, how films are read, the map method, the data set, the measure of how far
        a film is from those of the training, and the influence of a reason, the operating curve and the verdict of the
        scores, where the run's reports are of its checkpoint.

        Args:
            folder: prepared data, as for :meth:`held_out`.

        Raises:
            CheckpointError: see :meth:`model`.
            DataError: see :meth:`held_out`.
            MemoryBankError: see :meth:`model`.
            ScoringError: ``reports.meta.json`` is damaged.
        """
        from ammrg.evaluation.reports_meta import influence_in
        from ammrg.evaluation.verdicts import beats_constants
        from ammrg.imaging.processor import FilmProcessor
        from ammrg.inference.model_fingerprint import model_fingerprint
        from ammrg.inference.report_generator import ReportGenerator
        from experiments.runs.operating_curve import read_curve

        model = self.model(self.held_out(folder))
        data = self.kept.get("datamodule_hyper_parameters", {})
        model.network.decoding = dict(model.hparams["decoding"] or {})
        model.network.language_model.read_unpacked()
        processor = FilmProcessor(model.image_size, data.get("views", "all"))
        own = self.has_own_reports
        influence = influence_in(self.folder) if own else None
        verdict = beats_constants(read_json(self.scores)) if own else None
        parts = (model.network, processor, model.cam, model.trained_on, model.film_distance, influence)
        fingerprint = model_fingerprint(model.network, processor, model.cam, influence)
        return ReportGenerator(*parts, fingerprint, read_curve(self.folder, self.checkpoint), verdict)
