"""kill -9 at random moments of the whole pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import kills


@pytest.mark.slow
def test_kill_at_random_moments_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kills.main(["--kills", "3", "--seed", "1", "--folder", str(tmp_path / "places")]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(told["cases"]) == 3
    assert told["targets"]["runs_that_end_the_same"]["met"]


def finished(place: Path) -> Path:
    """A place with every file that is compared."""
    for name in kills.FILES:
        (place / kills.RUN / name).parent.mkdir(parents=True, exist_ok=True)
        (place / kills.RUN / name).write_text(name)
    for name in kills.CHECKPOINTS:
        state = {"state": {0: {"exp_avg": torch.ones(2)}}}
        torch.save({"state_dict": {"w": torch.zeros(2)}, "optimizer_states": [state]}, place / kills.RUN / name)
    return place


def test_a_difference_is_seen_wherever_it_is(tmp_path: Path) -> None:
    one, other = finished(tmp_path / "one"), finished(tmp_path / "other")
    assert kills.different(one, other) == []
    (other / kills.RUN / "reports.jsonl").write_text("other")
    path = other / kills.RUN / "stage2/last.ckpt"
    state = {"state": {0: {"exp_avg": torch.tensor([1.0, 1.0 + 1e-7])}}}
    torch.save({"state_dict": {"w": torch.zeros(2)}, "optimizer_states": [state]}, path)
    assert kills.different(one, other) == ["reports.jsonl", "stage2/last.ckpt"]


def test_the_phase_is_the_first_thing_that_is_not_there(tmp_path: Path) -> None:
    assert kills.phase(tmp_path) == "data"
    for name, made in kills.PHASES:
        assert kills.phase(tmp_path) == name
        (tmp_path / made).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / made).touch()
    assert kills.phase(tmp_path) == "table"
