"""The Trainer that writes reports of a finished run again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from callbacks.report_writer import ReportWriter


def writing_trainer(run: Path, writer: ReportWriter) -> Trainer:
    """A Trainer on one device, without logs and checkpoints.

    Args:
        run: the folder of the run.
        writer: writes the reports.
    """
    from lightning.pytorch import Trainer

    from experiments.runs.quiet import quiet_lightning

    quiet_lightning()
    return Trainer(
        accelerator="auto",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        callbacks=[writer],
        default_root_dir=run / "stage2",
    )
