"""metrics.csv beside a run's checkpoints: always on, and continued by a resumed run."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.loggers.logger import rank_zero_experiment


class _ContinuedWriter(ExperimentWriter):
    """Lightning's writer deletes an earlier metrics.csv; this one goes on in it, after dropping the rows of steps that
    will be taken again."""

    def __init__(self, log_dir: str, from_step: int | None) -> None:
        self.from_step = from_step
        super().__init__(log_dir)

    def _check_log_dir_exists(self) -> None:
        if Path(self.metrics_file_path).is_file():
            rows, self.metrics_keys = self.read()
            self.write([row for row in rows if self.from_step is None or int(row["step"]) < self.from_step])

    def read(self) -> tuple[list[dict[str, str]], list[str]]:
        """The rows there are (not one that was cut short), and their columns."""
        with Path(self.metrics_file_path).open(newline="") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if None not in row.values() and row["step"].isdigit()]
        return rows, list(reader.fieldnames or [])

    def write(self, rows: list[dict[str, str]]) -> None:
        """All rows, atomically."""
        partial = Path(f"{self.metrics_file_path}.partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=self.metrics_keys)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(partial, self.metrics_file_path)

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        self.write(self.read()[0])

    def log_hparams(self, params: dict[str, Any]) -> None:
        """Nothing: hparams.yaml would repeat config.yaml."""


class ContinuedCSVLogger(CSVLogger):
    """``folder/metrics.csv``: one row a logged step, columns as they turn up, each on the disk at once.

    Args:
        folder: of the run.
        from_step: the optimizer step from which training goes on; rows of it and later ones are of a run that was
            stopped after its last checkpoint. None keeps all.
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
