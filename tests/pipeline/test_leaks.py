"""A memory with a validation or test study is refused wherever it is opened."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from ammrg.memory import bank_files as banks
from ammrg.memory.bank import BankEdit
from datamodules.sources.phantom import draw_study
from experiments.__main__ import main
from tests.pipeline.nano_run import Run
from tests.unchecked import UNCHECKED


@pytest.mark.parametrize("bank", ["regions", "reports"])
@pytest.mark.parametrize("owner", ["study_ids", "subject_ids"])
def test_a_test_study_slipped_into_a_memory_is_refused(
    run: Run, bank: str, owner: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Run(run.root, f"leak_{bank}_{owner}")
    for part in ("memory", "stage1"):
        shutil.copytree(run.folder / part, other.folder / part)
    memory = banks.load(other.memory / bank, UNCHECKED)
    leaked = run.lines()[3]["study_id" if owner == "study_ids" else "subject_id"]
    row = next(row for row, owners in enumerate(memory.study_ids) if owners)
    owners = list(getattr(memory, owner))
    owners[row] = (str(leaked), *owners[row][1:])
    banks.save(dataclasses.replace(memory, **{owner: tuple(owners)}), other.memory / bank)
    assert other.fit_stage2() == 1
    message = capsys.readouterr().err
    assert f"{bank}.json: holds patterns of 1" in message
    assert str(leaked) in message


def leaked_into(memory: Path, bank: str, study: str, patient: str) -> None:
    """Add an evaluation study to a memory as a merge does, so that a trained network accepts it as an edited one."""
    before = banks.load(memory / bank, UNCHECKED)
    row = next(row for row, owners in enumerate(before.study_ids) if owners)
    owners = {name: list(getattr(before, name)) for name in ("study_ids", "subject_ids")}
    owners["study_ids"][row] += (study,)
    owners["subject_ids"][row] += (patient,)
    meta = dataclasses.replace(before.meta, edits=(BankEdit(before.fingerprint, "merged with another"),))
    after = dataclasses.replace(before, meta=meta, **{name: tuple(rows) for name, rows in owners.items()})
    banks.save(after, memory / bank)


@pytest.mark.parametrize("bank", ["regions", "reports"])
def test_every_command_refuses_a_memory_with_a_test_study(
    run: Run, bank: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Run(run.root, f"every_{bank}")
    shutil.copytree(run.folder, other.folder)
    for config in (other.stage2 / "config.yaml", other.memory / "config.yaml"):
        config.write_text(config.read_text().replace(str(run.folder), str(other.folder)))
    line = run.lines()[3]
    leaked_into(other.memory, bank, str(line["study_id"]), str(line["subject_id"]))
    place, film, out = str(other.folder), run.root / "leak.png", str(other.folder / "out")
    film.write_bytes(draw_study("test", 0, 0, 128).views[0].image)
    path, clean = str(other.memory / bank), str(run.memory / bank)
    commands = [
        ["guards", place, "--only", "memory_off"],
        ["memory", "compare", place],
        ["memory", "associations", place, "--split", "train"],
        ["memory", "check", path, "--data", str(run.data)],
        ["memory", "merge", path, clean, "--out", out],
        ["memory", "merge", clean, path, "--out", out],
        ["describe", str(film), "--run", place, "--out", out],
        ["export", place, "--out", out],
        ["predict", "-c", f"{other.stage2}/config.yaml", f"--ckpt_path={other.stage2}/best.ckpt"],
        ["test", "-c", f"{other.stage2}/config.yaml", f"--ckpt_path={other.stage2}/best.ckpt"],
        ["validate", "-c", f"{other.stage2}/config.yaml", f"--ckpt_path={other.stage2}/best.ckpt"],
    ]
    before = {name: (other.folder / name).read_bytes() for name in ("reports.jsonl", "scores.json")}
    for words in commands:
        capsys.readouterr()
        assert main(words) == 1, words
        message = capsys.readouterr().err
        assert (
            f"{bank}.json: holds patterns of 1 studies of the validation or test split: {line['study_id']}" in message
        )
        assert not Path(out).exists(), words
        assert not Path(out).with_suffix(".json").exists(), words
    assert before == {name: (other.folder / name).read_bytes() for name in before}


def test_other_data_than_the_runs_are_no_guard(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Other data have other evaluation studies, so a memory with a test study of this run would pass."""
    other, strange = Run(run.root, "other_guard"), run.root / "strange_data"
    shutil.copytree(run.folder, other.folder)
    leaked_into(other.memory, "reports", "of_the_runs_own_test", "a_patient")
    words = ["prepare", "--dataset", "phantom", "--out", str(strange), "--studies", "train=4,val=2,test=2"]
    assert main(words) == 0
    config = other.stage2 / "config.yaml"
    config.write_text(config.read_text().replace(str(run.data), str(strange)))
    film = run.root / "strange.png"
    film.write_bytes(draw_study("test", 0, 0, 128).views[0].image)
    out = str(other.folder / "out")
    for words in (
        ["describe", str(film), "--run", str(other.folder), "--data", str(strange), "--out", out],
        ["export", str(other.folder), "--data", str(strange), "--out", out],
        ["guards", str(other.folder), "--only", "memory_off"],
        ["memory", "compare", str(other.folder)],
    ):
        capsys.readouterr()
        assert main(words) == 1, words
        assert "name the folder it was trained on" in capsys.readouterr().err
    assert not Path(out).exists()


def test_a_run_away_from_its_data_takes_the_memories_of_its_training_alone(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    other, film = Run(run.root, "away"), run.root / "away.png"
    shutil.copytree(run.folder, other.folder)
    film.write_bytes(draw_study("test", 0, 0, 128).views[0].image)
    describe = ["describe", str(film), "--run", str(other.folder), "--out", str(other.folder / "described")]
    hidden = run.data.rename(run.root / "elsewhere")
    try:
        assert main(describe) == 0
        assert "only to be those of the training" in capsys.readouterr().err
        leaked_into(other.memory, "reports", "nobody_knows", "nobody")
        assert main(describe) == 1
        assert "cannot be checked" in (said := capsys.readouterr().err)
        assert "name the prepared data with --data FOLDER" in said
        assert main([*describe, "--data", str(hidden)]) == 0  # not an evaluation study
    finally:
        hidden.rename(run.data)
