"""Reports of a finished run at another operating point or of its validation studies, in a folder of their own."""

from __future__ import annotations

from pathlib import Path

from ammrg.errors import SettingsError
from ammrg.operating_points import BALANCED
from experiments.runs.operating_curve import measure_curve, read_curve, write_curve
from experiments.runs.reports import write_meta
from experiments.runs.run import Run
from experiments.runs.writing_trainer import writing_trainer

FOLDER = "operating_points"


def reports_of(run: Path, setting: float, split: str) -> Path:
    """Where the reports of a split at an operating point are; balanced ones of the test split are the run's own."""
    folder = run if split == "test" else run / split
    return (folder if setting == BALANCED else folder / FOLDER / f"{setting:g}") / "reports.jsonl"


def write_again(run: Path, setting: float, split: str) -> Path:
    """Write the reports of a split at an operating point.

    A run whose reports were written by an earlier release has no curve; it is measured first, and kept.

    Args:
        run: the folder of a finished run.
        setting: in [0, 1].
        split: ``val`` or ``test``.

    Returns:
        :func:`reports_of` these, with their meta file beside them.

    Raises:
        SettingsError: these are the run's own reports.
        CheckpointError, DataError, MemoryBankError: the run cannot be opened.
    """
    opened = Run(run)
    path = reports_of(run, setting, split)
    if path == opened.reports:
        raise SettingsError(
            f"{path}: these are the run's own reports (make reports); name another --operating-point, or --split val"
        )
    checkpoint = opened.checkpoint
    from callbacks.report_writer import ReportWriter

    writer = ReportWriter()
    writer.path = path
    trainer = writing_trainer(run, writer)
    model, data = opened.model(), opened.data
    data.predict_split = split
    if setting != BALANCED:
        curve = read_curve(run, checkpoint)
        if curve is None:
            curve = measure_curve(model.network.to(trainer.strategy.root_device).eval(), data)
            write_curve(run, curve, checkpoint)
        model.turn_to(setting, curve)
    model.measures_influence = False
    trainer.predict(model, datamodule=data, return_predictions=False)
    write_meta(checkpoint, model, data, None, path.with_name("reports.meta.json"))
    return path
