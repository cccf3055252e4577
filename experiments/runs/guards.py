"""``python -m experiments guards RUN``: what are a run's reports without its films, and without its memories?

The run's own network writes its reports again, each time with one thing taken away; ``make scores`` then says beside
which of them its reports are no better.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ammrg.evaluation import predictions
from experiments.runs.run import Run

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from ammrg.networks.associative_memory import Memories
    from datamodules.dataset import Films
    from datamodules.studies import StudyDataModule
    from lightning_modules.report_generation import ReportGeneration


class Guard(NamedTuple):
    """What a study is shown in place of its own."""

    films: Films = "own"
    memories: Memories = "own"


GUARDS: dict[str, Guard] = {
    "images_shuffled": Guard(films="shuffled"),
    "images_noise": Guard(films="noise"),
    "memory_shuffled": Guard(memories="shuffled"),
    "memory_visual_off": Guard(memories="visual_off"),
    "memory_report_off": Guard(memories="report_off"),
    "memory_off": Guard(memories="off"),
}
"""File in ``guards/`` -> what is taken away."""
ALWAYS = ("images_shuffled", "memory_off")
"""Written with the reports of every run; the others cost a pass over the split each and are asked for."""


def write_guards(
    trainer: Trainer, model: ReportGeneration, datamodule: StudyDataModule, folder: Path, names: Iterable[str] = ALWAYS
) -> None:
    """One pass of the loaded network for each guard: ``folder/NAME.jsonl``."""
    from callbacks.report_writer import ReportWriter

    writer = next(callback for callback in trainer.callbacks if isinstance(callback, ReportWriter))  # type: ignore[attr-defined]
    for name in names:
        writer.path = folder / f"{name}.jsonl"
        datamodule.films, model.memories = GUARDS[name]
        trainer.predict(model, datamodule=datamodule, return_predictions=False)
    writer.path, datamodule.films, model.memories = None, "own", "own"


def write_guards_of_run(run: Path, names: Iterable[str]) -> None:
    """Open a finished run and write guards beside its reports.

    Raises:
        ScoringError: the run has no reports yet.
        CheckpointError: its network is not there.
    """
    predictions.read_lines(run / "reports.jsonl")  # nothing to compare with without them
    from lightning.pytorch import Trainer

    from callbacks.report_writer import ReportWriter

    opened = Run(run)
    model, datamodule = opened.model(), opened.data
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        callbacks=[ReportWriter()],
        default_root_dir=run / "stage2",
    )
    write_guards(trainer, model, datamodule, run / "guards", names)
