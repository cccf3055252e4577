"""Runs in a table, and what differs between them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ammrg.errors import CheckpointError
from experiments.__main__ import main
from experiments.runs.energy import kilowatt_hours
from experiments.runs.export import export
from experiments.runs.manifest import begin_session, write_manifest
from experiments.runs.run import Run


def make(out: Path, name: str, lr: float, seconds: float | None) -> None:
    folder = out / "phantom" / name / "stage1"
    folder.mkdir(parents=True)
    settings = {"seed_everything": 3, "model": {"class_path": "m.M", "init_args": {"lr": lr}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "metrics.csv").write_text("epoch,step\n4,50\n")
    begin_session(folder, 0)
    if seconds:
        (folder / "best.ckpt").write_bytes(b"weights")
        write_manifest(folder, best={"val/auroc_macro": 0.9}, wall_seconds=seconds, data="abcdef0123456789")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    make(tmp_path, "first", 1e-3, 120.0)
    make(tmp_path, "second", 2e-3, None)
    return tmp_path


def test_runs_are_listed(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--out", str(out), "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["run"] == "phantom/first/stage1"
    assert (first["state"], first["best"], first["minutes"], first["seed"], first["data"]) == (
        "finished",
        "val/auroc_macro 0.9000",
        "2.0",
        "3",
        "abcdef01",
    )
    assert second["state"] == "stopped or running; epoch 4"
    assert main(["runs", "--out", str(out)]) == 0
    assert "2 of 2 runs" in capsys.readouterr().out


def test_two_runs_are_compared_by_their_settings(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--out", str(out), "phantom/first/stage1", "phantom/second/stage1"]) == 0
    assert "model.lr: 0.001  -> 0.002" in capsys.readouterr().out


def test_a_manifest_holds_what_a_run_was_made_of(out: Path) -> None:
    manifest = json.loads((out / "phantom" / "first" / "stage1" / "manifest.json").read_text())
    assert manifest["config"]["model"]["init_args"]["lr"] == 1e-3
    assert set(manifest["checkpoints"]) == {"best.ckpt"}
    assert manifest["sessions"][0]["from_step"] == 0
    assert {"versions", "machine", "code"} <= set(manifest)


def test_no_run_and_unknown_runs_are_named(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--out", str(tmp_path / "none")]) == 1
    assert "holds no run" in capsys.readouterr().err
    assert main(["runs", "--out", str(out), "third"]) == 1
    assert "no run third" in capsys.readouterr().err


@pytest.mark.parametrize("broken", ['{"a": [', "hello", "\t- x"])
def test_a_broken_run_does_not_hide_the_others(out: Path, broken: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = out / "phantom" / "first" / "stage1"
    (folder / "config.yaml").write_text(broken)
    (out / "phantom" / "second" / "stage1" / "metrics.csv").write_text("step\n50\n")
    assert main(["runs", "--out", str(out), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in rows] == ["config.yaml is unreadable", "begun"]


def test_energy_counters_may_begin_again() -> None:
    before = {"cpu0": (3.6e6, 7.2e6), "gpu0": (0.0, 0.0), "gone": (1.0, 0.0)}
    assert kilowatt_hours(before, {"cpu0": (0.0, 7.2e6), "gpu0": (3.6e6, 0.0)}) == {"cpu0": 1.0, "gpu0": 1.0}


def test_settings_of_another_stage_are_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    folder = tmp_path / "stage2"
    folder.mkdir()
    settings = {
        "model": {"class_path": "lightning_modules.disease_classification.DiseaseClassification"},
        "data": {"class_path": "datamodules.studies.StudyDataModule", "init_args": {"folder": "data/phantom"}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(CheckpointError, match="settings of DiseaseClassification, which is not stage 2; copy it"):
        _ = Run(tmp_path).unchecked_data


@pytest.mark.parametrize("broken", ['{"half', "[1]", ""])
def test_a_broken_manifest_is_refused_before_the_network_is_loaded(tmp_path: Path, broken: str) -> None:
    (tmp_path / "stage2").mkdir()
    for name in ("reports.meta.json", "scores.json", "stage2/best.ckpt"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "stage2" / "manifest.json").write_text(broken)
    with pytest.raises(CheckpointError, match=r"manifest\.json: damaged, not a JSON object; remove it"):
        export(tmp_path, tmp_path / "export")
