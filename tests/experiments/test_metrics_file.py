"""metrics.csv of a run that was stopped and went on."""

from __future__ import annotations

import csv
from pathlib import Path

from experiments.runs.metrics_file import ContinuedCSVLogger


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_resumed_run_goes_on_in_the_same_file(tmp_path: Path) -> None:
    first = ContinuedCSVLogger(str(tmp_path))
    first.log_metrics({"train/loss": 2.0}, step=1)
    first.save()
    second = ContinuedCSVLogger(str(tmp_path))
    second.log_hyperparams({"lr": 1.0})
    second.log_metrics({"train/loss": 1.0, "val/auroc": 0.5}, step=2)
    second.save()
    found = rows(tmp_path)
    assert [(row["step"], row["train/loss"], row["val/auroc"]) for row in found] == [
        ("1", "2.0", ""),
        ("2", "1.0", "0.5"),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_rows_of_steps_that_are_taken_again_are_dropped(tmp_path: Path) -> None:
    first = ContinuedCSVLogger(str(tmp_path))
    for step in (3, 7, 9):
        first.log_metrics({"train/loss": float(step)}, step=step)  # each on the disk at once: nothing is saved here
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("11")  # cut short by a kill
    second = ContinuedCSVLogger(str(tmp_path), from_step=8)
    second.log_metrics({"train/loss": 90.0}, step=9)
    assert [(row["step"], row["train/loss"]) for row in rows(tmp_path)] == [("3", "3.0"), ("7", "7.0"), ("9", "90.0")]
    third = ContinuedCSVLogger(str(tmp_path), from_step=0)
    third.log_metrics({"train/loss": 1.0}, step=0)
    assert len(rows(tmp_path)) == 1
