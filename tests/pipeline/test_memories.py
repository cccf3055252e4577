"""Memories of a run: their content and measures, and studies that are withdrawn or added."""

from __future__ import annotations

import json
import shutil

import pytest

from ammrg.findings import FINDINGS
from ammrg.memory import bank_files as banks
from datamodules.prepared import PreparedFolder
from datamodules.sources.phantom import draw_study
from experiments.__main__ import main
from tests.pipeline.nano_run import Run, owners
from tests.unchecked import UNCHECKED


def test_the_mining_says_what_it_mined(run: Run) -> None:
    report = json.loads((run.memory / "regions_report" / "report.json").read_text())
    bank = json.loads((run.memory / "regions.json").read_text())
    assert report["stored_regions"] == bank["count"] - len(FINDINGS) > 0
    pages = list((run.memory / "regions_report").glob("*.png"))
    assert len(pages) == sum(row["stored_regions"] > 0 for row in report["findings"].values())


def test_memories_hold_training_studies_only(run: Run) -> None:
    trained = {study for split in ("regions", "reports") for study in owners(run.memory / f"{split}.json")}
    evaluated = {line["study_id"] for line in run.lines()}
    assert trained
    assert not trained & evaluated


def test_a_memory_of_another_encoder_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    other = Run(run.root, "other_encoder")
    assert other.fit_stage1("--seed_everything=1") == 0
    shutil.copytree(run.memory, other.memory)
    assert other.fit_stage2() == 1
    message = capsys.readouterr().err
    assert "encoder_fingerprint" in message
    assert "regions" in message


def test_memories_are_measured(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "associations", str(run.folder), "--split", "train"]) == 0
    found = json.loads((run.folder / "associations.json").read_text())
    assert found["all"]["queries"] == sum(each["queries"] for each in found["findings"].values()) > 16
    assert 0 < found["all"]["chance"] < 1
    assert all(0 <= found["all"][name] <= 1 for name in ("top", "top_k", "weight", "on_regions"))
    assert "beside" not in capsys.readouterr().err
    assert main(["memory", "compare", str(run.folder)]) == 0
    shown = capsys.readouterr().out
    guards = json.loads((run.folder / "scores.json").read_text())["guards"]
    for name in ("memory_shuffled", "memory_visual_off", "memory_report_off", "memory_off"):
        assert name.removeprefix("memory_").replace("_", " ") in shown
        assert "clinical_macro_f1_14_neg" in guards[name]["full"]
    silent = run.lines("guards/memory_visual_off.jsonl")
    assert all(line["reports"] and not line["regions"] for line in silent)


def test_a_withdrawn_patient_leaves_a_trained_run_usable(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    less = Run(run.root, "withdrawn")
    shutil.copytree(run.folder, less.folder)
    sidecar = json.loads((less.memory / "regions.json").read_text())
    patient = next(ids[0] for ids in sidecar["subject_ids"] if ids)
    settings = (less.stage2 / "config.yaml").read_text().replace(str(run.folder), str(less.folder))
    (less.stage2 / "config.yaml").write_text(settings)
    for bank in ("regions", "reports"):
        assert main(["memory", "prune", str(less.memory / bank), "--patient", patient]) == 0
    assert less.write_reports() == 0
    named = {pattern["study_id"] for line in less.lines() for kind in ("regions", "reports") for pattern in line[kind]}
    assert named
    assert not {study for study in named if patient in owners_of(run, study)}
    capsys.readouterr()
    shutil.copy(run.memory / "regions.json", less.memory / "regions.json")
    assert less.write_reports() == 1
    assert "regions.safetensors" in capsys.readouterr().err


def owners_of(run: Run, study: str) -> set[str]:
    """The patients of a study, as the memories name them."""
    found = set()
    for bank in ("regions", "reports"):
        sidecar = json.loads((run.memory / f"{bank}.json").read_text())
        for studies, subjects in zip(sidecar["study_ids"], sidecar["subject_ids"], strict=True):
            found |= {subject for name, subject in zip(studies, subjects, strict=True) if name == study}
    return found


def test_a_copied_run_answers_from_its_own_memories(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    copy = Run(run.root, "copied")
    shutil.copytree(run.folder, copy.folder)
    whole = banks.load(run.memory / "regions", UNCHECKED)
    patient = next(ids[0] for ids in whole.subject_ids if ids)
    assert main(["memory", "prune", str(copy.memory), "--patient", patient]) == 0
    pruned = banks.load(copy.memory / "regions", UNCHECKED).fingerprint
    assert pruned != whole.fingerprint
    capsys.readouterr()
    assert main(["memory", "associations", str(copy.folder), "--split", "train", "--top", "1"]) == 0
    shown = capsys.readouterr().out
    assert f"regions memory: {copy.memory}/regions.safetensors, fingerprint {pruned}" in shown
    assert f"reports memory: {copy.memory}/reports.safetensors" in shown
    assert json.loads((copy.folder / "associations.json").read_text())["memory"] == pruned
    film = run.root / "copied.png"
    film.write_bytes(draw_study("test", 0, 0, 128).views[0].image)
    assert main(["describe", str(film), "--run", str(copy.folder)]) == 0
    assert f"regions memory: {copy.memory}/regions.safetensors, fingerprint {pruned}" in capsys.readouterr().err
    for file in (copy.memory / "regions").parent.glob("regions.*"):
        file.unlink()
    assert main(["memory", "associations", str(copy.folder), "--split", "train"]) == 0  # there is no other
    assert f"{run.memory}/regions.safetensors, fingerprint {whole.fingerprint}" in capsys.readouterr().out


def test_new_studies_come_into_the_memories_of_a_trained_run(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    grown, new = Run(run.root, "grown"), run.root / "new"
    shutil.copytree(run.folder, grown.folder)
    sizes = "train=80,val=2,test=2"  # the run's 64 training studies and 16 more
    assert main(["prepare", "--dataset", "phantom", "--out", str(new / "data"), "--studies", sizes]) == 0
    mine = ["predict", "-c", f"{grown.stage1}/config.yaml", f"--ckpt_path={grown.stage1}/best.ckpt"]
    mine += [f"--data.folder={new}/data", f"--trainer.default_root_dir={new}/stage1"]
    for words, message in (
        ([], "--new_studies=true makes a memory of new studies"),
        (["--new_studies=true", f"--trainer.default_root_dir={grown.stage1}"], "is the run itself, whose memory would"),
        (["--new_studies=true", "--data.image_size=96"], "trained on films of 64 pixels, but data.image_size is 96"),
    ):
        assert main([*mine, *words]) == 1
        assert message in capsys.readouterr().err
        assert not (new / "memory").exists()
    assert main([*mine, "--new_studies=true"]) == 0
    encode = ["predict", "-c", f"{grown.memory}/config.yaml", f"--data.folder={new}/data"]
    assert main([*encode, f"--trainer.default_root_dir={new}/memory"]) == 0
    for bank, guards in (("regions", ["--stage1", f"{grown.stage1}/best.ckpt"]), ("reports", [])):
        place = str(grown.memory / bank)
        merge = ["memory", "merge", place, f"{new}/memory/{bank}", "--out", place, "--data", str(run.data)]
        assert main([*merge, *guards]) == 0
    added = owners(grown.memory / "reports.json") - owners(run.memory / "reports.json")
    assert added
    assert added <= set(PreparedFolder(new / "data").index("train").study_ids[64:])
    capsys.readouterr()
    assert main(["memory", "associations", str(grown.folder), "--split", "train", "--top", "1"]) == 0
    shown = capsys.readouterr().out  # stage 2 loads the edited memory, and says so
    assert shown.count("was edited after this checkpoint was trained (merged with") == 2
    assert main(["predict", "-c", f"{grown.stage2}/config.yaml", "--new_studies=true"]) == 1
    assert "stage 2 makes none" in capsys.readouterr().err
