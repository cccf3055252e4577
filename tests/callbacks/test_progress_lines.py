"""The lines that a log file shows of a run: how many, and what they promise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule
from torch.utils.data import DataLoader

from callbacks import progress_lines
from callbacks.progress_lines import ProgressLines, duration
from tests.quiet_trainer import quiet_trainer


class Plain(LightningModule):
    """One weight; each batch takes 30 seconds of a clock of its own."""

    def __init__(self, clock: list[float]) -> None:
        super().__init__()
        self.weight, self.clock = torch.nn.Parameter(torch.ones(())), clock

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        self.clock[0] += 30
        return self.weight * batch.sum()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.clock[0] += 30

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.clock[0] += 30

    def predict_step(self, batch: Any, batch_idx: int) -> None:
        self.clock[0] += 30

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress_lines, "monotonic", lambda: now[0])
    return now


def test_a_line_a_minute_says_what_is_done_and_left(
    clock: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loader: Any = DataLoader(torch.ones(6, 1), batch_size=1)
    trainer = quiet_trainer(tmp_path, max_epochs=2, callbacks=[ProgressLines()])
    module = Plain(clock)
    trainer.fit(module, loader)
    trainer.test(module, loader, verbose=False)
    trainer.predict(module, loader, return_predictions=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if re.match("training|testing|predicting", line)]
    assert lines == [
        *(f"training, steps: {done} of 12, about {(12 - done) // 2 or 1} min left" for done in (2, 4, 6, 8, 10, 12)),
        *(
            f"{what}, batches: {n} of 6, about {(6 - n) // 2 or 1} min left"
            for what in ("testing", "predicting")
            for n in (2, 4, 6)
        ),
    ]


def test_a_validation_is_told_when_it_begins(
    clock: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loader: Any = DataLoader(torch.ones(3, 1), batch_size=1)
    trainer = quiet_trainer(tmp_path, max_epochs=2, num_sanity_val_steps=1, callbacks=[ProgressLines()])
    trainer.fit(Plain(clock), loader, loader)
    lines = [line for line in capsys.readouterr().out.splitlines() if re.match("training|validation", line)]
    assert [line.partition(" of ")[0] for line in lines] == [
        "training, steps: 2",
        "validation, batches: 3",
        "training, steps: 4",
        "training, steps: 6",
        "validation, batches: 3",
    ]


def test_a_run_of_unknown_length_says_only_what_is_done(
    clock: list[float], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ProgressLines()
    lines.begin(5)
    clock[0] = 61
    lines.say("training, steps", 7, float("inf"))
    lines.say("training, steps", 8, float("inf"))  # within the same minute
    assert capsys.readouterr().out == "training, steps: 7\n"


def test_durations() -> None:
    assert [duration(each) for each in (0, 90, 5940, 9000)] == ["1 min", "2 min", "99 min", "2.5 h"]
