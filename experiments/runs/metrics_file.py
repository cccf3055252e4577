"""``metrics.csv`` beside a run's checkpoints: always written, and continued by a resumed run."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment


class _ContinuedWriter(ExperimentWriter):
    """A writer that continues an earlier ``metrics.csv``; Lightning's own would delete the file.

    It first removes the rows of steps that will be trained again.
    """

    def __init__(self, log_dir: str, from_step: int | None) -> None:
        self.from_step = from_step
        super().__init__(log_dir)

    def _check_log_dir_exists(self) -> None:
        if Path(self.metrics_file_path).is_file():
            rows, self.metrics_keys = self.read()
            self.write([row for row in rows if self.from_step is None or int(row["step"]) < self.from_step])

    def read(self) -> tuple[list[dict[str, str]], list[str]]:
        """The complete rows of the file, and its columns."""
        with Path(self.metrics_file_path).open(newline="") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if None not in row.values() and row["step"].isdigit()]
        return rows, list(reader.fieldnames or [])

    def write(self, rows: list[dict[str, str]]) -> None:
        """Replace the file by these rows, atomically."""
        partial = Path(f"{self.metrics_file_path}.partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=self.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(partial, self.metrics_file_path)

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        self.write(self.read()[0])

    def log_hparams(self, params: dict[str, Any]) -> None:
        """Write nothing: ``hparams.yaml`` would repeat ``config.yaml``."""


class ContinuedCSVLogger(CSVLogger):
    """A logger to ``folder/metrics.csv``: one row per logged step, written to the disk at once.

    Args:
        folder: of the stage.
        from_step: the optimizer step at which training continues. Rows of this step and later ones come from a run that
            was stopped after its last checkpoint, and are removed. None keeps all rows.
    """

    def __init__(self, folder: str, from_step: int | None = None) -> None:
        super().__init__(save_dir=folder, name="", version="", flush_logs_every_n_steps=1)
        self.from_step = from_step

    @property
    @rank_zero_experiment
    def experiment(self) -> ExperimentWriter:  # type: ignore[override]
        """The writer, opened at first use."""
        if self._experiment is None:
            Path(self.log_dir).mkdir(parents=True, exist_ok=True)
            self._experiment = _ContinuedWriter(self.log_dir, self.from_step)
        return self._experiment
