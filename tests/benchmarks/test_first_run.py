"""The benchmark of the whole pipeline: seconds by step, scores and floor from a run's files, and what fails."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks import first_run
from benchmarks.first_run import RUN, STEPS, RunError


def finished(clone: Path) -> None:
    """The last files of all steps, the report memory before mining, each 10 s after the one before."""
    order = ["data", "language model", "stage 1", "report memory", "mining", "stage 2", "reports", "scores"]
    for place, step in enumerate(order):
        file = clone / STEPS[step].replace("*", "-nano")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
        os.utime(file, (1000.0 + 10 * place**2, 1000.0 + 10 * place**2))


def test_seconds_by_step_whatever_their_order(tmp_path: Path) -> None:
    finished(tmp_path)
    seconds = first_run.step_seconds(tmp_path, 993.0)
    assert list(seconds) == list(STEPS)
    assert seconds["data"] == pytest.approx(7.0)
    assert seconds["report memory"] == pytest.approx(50.0)
    assert seconds["mining"] == pytest.approx(70.0)
    assert sum(seconds.values()) == pytest.approx(1000 + 10 * 49 - 993)


def test_a_step_that_left_no_file_is_named(tmp_path: Path) -> None:
    finished(tmp_path)
    (tmp_path / STEPS["stage 2"]).unlink()
    with pytest.raises(RunError, match=r"0 files .*stage2/manifest.json after the run"):
        first_run.step_seconds(tmp_path, 0.0)


def test_scores_are_those_of_the_run(tmp_path: Path) -> None:
    run = tmp_path / RUN
    (run / "stage1").mkdir(parents=True)
    (run / "stage1/scores.json").write_text(
        json.dumps({"test": {"auroc_macro": {"value": 0.9, "low": 0.8, "high": 1.0}, "pointing_game": None}})
    )
    full = {"clinical_micro_f1_13_neg": {"value": 0.7}, "cider": {"value": 0.5}}
    (run / "scores.json").write_text(json.dumps({"full": full}))
    expected = {"stage 1's AUROC": 0.9, "map in its box": None, "micro F1": 0.7, "side F1": None, "CIDEr": 0.5}
    assert first_run.read_scores(run) == expected


def test_worked_seconds_leave_out_waiting(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("data: {init_args: {batch_size: 8}}")
    (tmp_path / "throughput.csv").write_text("step,studies_per_s,loader_wait\n9,40,0.5\n14,20,0\n")
    assert first_run.worked_seconds(tmp_path) == pytest.approx(10 * 8 / 40 * 0.5 + 5 * 8 / 20)


def test_medians_and_targets() -> None:
    def build(whole: float, auroc: float | None) -> dict[str, object]:
        return {"seconds": {"whole": whole}, "scores": dict.fromkeys(first_run.SCORES, auroc), "floor_s": whole / 2}

    ours = first_run.median_of([build(10.0, 0.9), build(30.0, 0.7), build(20.0, 0.8)])
    assert ours == build(20.0, 0.8)
    found = first_run.targets({"ours": ours, "abc": build(40.0, 0.85)}, "abc")
    assert found["wall seconds of abc over ours"] == (2.0, 1.0)
    assert found["CIDEr, ours less abc's"] == (pytest.approx(-0.05), -0.02)
    assert len(first_run.targets({"ours": ours, "abc": build(40.0, None)}, "abc")) == 1


def test_a_commit_that_is_not_there_is_named() -> None:
    with pytest.raises(RunError, match=r"rev-parse.*no-such-commit"):
        first_run.run_once("no-such-commit", "nano")


def test_a_run_that_fails_shows_the_end_of_its_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "Makefile").write_text("stage2:\n\t@echo made $(MODEL)\n\t@echo broken >&2; exit 3\n")
    monkeypatch.chdir(repository)
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]):
        first_run.git(*words)
    with pytest.raises(RunError, match=r"(?s)make stage2 ended with 2.*made nano.*broken"):
        first_run.run_once("HEAD", "nano")
