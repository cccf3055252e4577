"""Guards: a run's reports written again by the same network, each time with other films or without a memory.

If a guard scores as well as the reports themselves, the network did not use what was taken away. With mirrored films,
the sides in the reports should flip (:mod:`ammrg.metrics.mirroring`).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ammrg.evaluation import predictions
from experiments.runs.run import Run
from experiments.runs.writing_trainer import writing_trainer

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from ammrg.networks.associative_memory import Memories
    from datamodules.dataset import Films
    from datamodules.studies import StudyDataModule
    from lightning_modules.report_generation import ReportGeneration


class Guard(NamedTuple):
    """What the network sees in place of a study's own films or memories."""

    films: Films = "own"
    memories: Memories = "own"


GUARDS: dict[str, Guard] = {
    "images_shuffled": Guard(films="shuffled"),
    "images_noise": Guard(films="noise"),
    "films_mirrored": Guard(films="mirrored"),
    "memory_shuffled": Guard(memories="shuffled"),
    "memory_visual_off": Guard(memories="visual_off"),
    "memory_report_off": Guard(memories="report_off"),
    "memory_off": Guard(memories="off"),
}
"""Name of the file in ``guards/`` -> what is taken away or changed."""
ALWAYS = ("images_shuffled", "films_mirrored", "memory_shuffled", "memory_off")
"""Guards that every run writes with its reports. The others, each a pass over the split, are written on request."""


def write_guards(
    trainer: Trainer, model: ReportGeneration, datamodule: StudyDataModule, folder: Path, names: Iterable[str] = ALWAYS
) -> None:
    """Write ``folder/NAME.jsonl`` for each guard, with one pass of the loaded network each.

    Args:
        trainer: a Trainer with a ``ReportWriter``.
        model: the run's network.
        datamodule: the data of the run.
        folder: the folder to write to.
        names: keys of :data:`GUARDS`.
    """
    from callbacks.report_writer import ReportWriter

    writer = next(callback for callback in trainer.callbacks if isinstance(callback, ReportWriter))  # type: ignore[attr-defined]
    model.measures_influence = False
    for name in names:
        writer.path = folder / f"{name}.jsonl"
        datamodule.films, model.memories = GUARDS[name]
        trainer.predict(model, datamodule=datamodule, return_predictions=False)
    writer.path, datamodule.films, model.memories, model.measures_influence = None, "own", "own", True


def write_guards_of_run(run: Path, names: Iterable[str]) -> None:
    """Open a finished run and write guards beside its reports.

    Args:
        run: the run's folder.
        names: keys of :data:`GUARDS`.

    Raises:
        ScoringError: the run has no reports yet.
        CheckpointError: the run has no checkpoint of stage 2.
    """
    predictions.read_lines(run / "reports.jsonl")  # an error if there are none: there would be nothing to compare with
    from callbacks.report_writer import ReportWriter

    opened = Run(run)
    model, datamodule = opened.model(), opened.data
    trainer = writing_trainer(run, ReportWriter())
    write_guards(trainer, model, datamodule, run / "guards", names)
