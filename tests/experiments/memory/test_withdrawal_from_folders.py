"""memory prune: a run's banks and pages are withdrawn from as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from ammrg.memory.bank_files import load, save
from experiments.__main__ import main
from experiments.memories import withdrawal as memory_withdrawal
from tests.experiments.memory.banks import make, memories_with_pages
from tests.unchecked import UNCHECKED


def test_a_folder_is_pruned_as_a_whole_with_its_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = memories_with_pages(tmp_path / "memory")
    save(make("reports", [("s9", "p9")]), folder / "strangers")
    stays = load(folder / "strangers", UNCHECKED).fingerprint
    assert main(["memory", "prune", str(folder), "--patient", "p1"]) == 0
    for kind in ("regions", "reports"):
        assert {study for owners in load(folder / kind, UNCHECKED).study_ids for study in owners} == {"s3", "s4"}
    assert load(folder / "strangers", UNCHECKED).fingerprint == stays
    shown = capsys.readouterr().out
    assert "strangers.json: holds nothing of them and stays as it is" in shown
    assert "regions_report: 1 pages removed" in shown
    assert [file.name for file in (folder / "regions_report").iterdir()] == ["report.json"]
    assert "gone. This command does not reach copies elsewhere" in shown
    left = sorted(file.name for file in folder.iterdir() if file.is_file())
    names = [f"{name}.{suffix}" for name in ("regions", "reports", "strangers") for suffix in ("json", "safetensors")]
    assert left == ["config.yaml", *names]


def test_a_bank_beside_the_pruned_one_is_named_where_it_holds_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = memories_with_pages(tmp_path / "memory")
    assert main(["memory", "prune", str(folder / "reports.json"), "--patient", "p1"]) == 0
    shown = capsys.readouterr().out
    assert f"regions.json: still holds their patterns, and {folder}/regions_report may show their films" in shown
    assert "gone from the changed banks, but not from what is named above" in shown
    assert (folder / "regions_report" / "edema.png").exists()
    assert main(["memory", "prune", str(folder / "regions"), "--study", "s1", "s2"]) == 0
    assert "gone. This command does not reach copies elsewhere" in capsys.readouterr().out
    assert not (folder / "regions_report" / "edema.png").exists()
    (folder / "reports.safetensors").write_bytes(b"")
    assert main(["memory", "prune", str(folder / "regions"), "--study", "s3"]) == 0
    assert "not searched" in capsys.readouterr().out


def test_the_banks_of_a_run_s_folds_are_pruned_with_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, fold = memories_with_pages(tmp_path / "memory"), tmp_path / "cross_fit_2" / "fold-0" / "memory"
    memories_with_pages(fold)
    assert main(["memory", "prune", str(folder / "regions"), "--patient", "p1"]) == 0
    assert f"{fold}/regions.json: still holds their patterns, and {fold}/regions_report" in capsys.readouterr().out
    assert main(["memory", "prune", str(folder), "--patient", "p1"]) == 0
    for path in (folder / "reports", fold / "regions", fold / "reports"):
        assert "p1" not in {subject for owners in load(path, UNCHECKED).subject_ids for subject in owners}
    assert not (fold / "regions_report" / "edema.png").exists()
    assert "gone. This command does not reach copies elsewhere" in capsys.readouterr().out


def test_a_folder_can_be_pruned_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, less = memories_with_pages(tmp_path / "memory"), tmp_path / "less"
    assert main(["memory", "prune", str(folder), "--study", "s1", "--out", str(less)]) == 0
    assert sorted(file.name for file in less.glob("*.json")) == ["regions.json", "reports.json"]
    assert {study for owners in load(less / "reports", UNCHECKED).study_ids for study in owners} == {"s2", "s3", "s4"}
    assert len(load(folder / "reports", UNCHECKED)) == 4
    shown = capsys.readouterr().out
    assert f"{folder}/reports.json: still holds their patterns" in shown
    assert (folder / "regions_report" / "edema.png").exists()


def test_nothing_of_a_folder_is_changed_where_one_bank_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = memories_with_pages(tmp_path / "memory")
    before = load(folder / "regions", UNCHECKED).fingerprint
    assert main(["memory", "prune", str(folder), "--study", "s1", "s9"]) == 1
    assert "study s9 owns no pattern of these banks; nothing was changed" in capsys.readouterr().err
    assert main(["memory", "prune", str(folder), "--patient", "p1", "p2", "p3"]) == 1
    captured = capsys.readouterr().err
    assert "reports: nobody else owns a pattern of it, so that an empty memory bank would be left" in captured
    assert f"delete {folder}/reports.safetensors and {folder}/reports.json yourself" in captured
    assert load(folder / "regions", UNCHECKED).fingerprint == before
    assert (folder / "regions_report" / "edema.png").exists()


def test_a_stopped_withdrawal_does_not_claim_to_go_on(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(memory_withdrawal, "withdraw", stopped)
    assert main(["memory", "prune", str(path), "--study", "s1"]) == 130
    assert capsys.readouterr().err.strip() == "stopped"
