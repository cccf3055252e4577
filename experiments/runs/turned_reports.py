"""Reports of a finished run at another operating point, in a folder of their own, so that they can be scored."""

from __future__ import annotations

import logging
from pathlib import Path

from ammrg.errors import SettingsError
from ammrg.operating_points import BALANCED
from experiments.runs.operating_curve import measure_curve, read_curve, write_curve
from experiments.runs.reports import write_meta
from experiments.runs.run import Run

FOLDER = "operating_points"


def write_turned_reports(run: Path, setting: float) -> Path:
    """Write the reports of a run's test studies at an operating point.

    A run whose reports were written by an earlier release has no curve; it is measured first, and kept.

    Args:
        run: the folder of a finished run.
        setting: in [0, 1], not balanced: these are the run's own reports.

    Returns:
        ``run/operating_points/SETTING/reports.jsonl``, with its meta file beside it.

    Raises:
        SettingsError: the setting is balanced.
        CheckpointError, DataError, MemoryBankError: the run cannot be opened.
    """
    opened = Run(run)
    if setting == BALANCED:
        raise SettingsError(f"--operating-point {setting:g}: is balanced, as {opened.reports} is; name another one")
    checkpoint = opened.checkpoint
    curve = read_curve(run, checkpoint)
    from lightning.pytorch import Trainer

    from callbacks.report_writer import ReportWriter

    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    writer = ReportWriter()
    writer.path = run / FOLDER / f"{setting:g}" / "reports.jsonl"
    trainer = Trainer(
        accelerator="auto",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        callbacks=[writer],
        default_root_dir=run / "stage2",
    )
    model, data = opened.model(), opened.data
    if curve is None:
        curve = measure_curve(model.network.to(trainer.strategy.root_device).eval(), data)
        write_curve(run, curve, checkpoint)
    model.turn_to(setting, curve)
    model.measures_influence = False
    trainer.predict(model, datamodule=data, return_predictions=False)
    write_meta(checkpoint, model, data, None, writer.path.with_name("reports.meta.json"))
    return writer.path
