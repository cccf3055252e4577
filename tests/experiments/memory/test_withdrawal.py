"""memory prune: studies and patients are withdrawn from one bank, with proof."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ammrg.memory.bank import MemoryBank
from ammrg.memory.bank_files import load, save
from ammrg.memory.editing import withdraw
from experiments.__main__ import main
from experiments.memories import withdrawal as memory_withdrawal
from experiments.memories.traces import find_traces
from tests.experiments.memory.banks import STUDIES, make
from tests.unchecked import UNCHECKED


@pytest.mark.parametrize(("who", "dropped"), [(["--study", "s1"], {"s1"}), (["--patient", "p1"], {"s1", "s2"})])
def test_prune_drops_and_proves(
    path: Path, who: list[str], dropped: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = load(path, UNCHECKED)
    assert main(["memory", "prune", str(path), *who]) == 0
    after = load(path, UNCHECKED)
    assert {study for owners in after.study_ids for study in owners} == {"s1", "s2", "s3", "s4"} - dropped
    gone = [row for row, owners in enumerate(before.study_ids) if set(owners) & dropped]
    assert len(after) == len(before) - len(gone)
    assert not (after.patterns[:, None] == before.patterns[gone]).all(-1).any()
    written = path.with_suffix(".json").read_text() + str(path.with_suffix(".safetensors").read_bytes())
    assert not any(f'"{name}"' in written or f" of {name}." in written for name in dropped)
    if who[0] == "--patient":
        assert '"p1"' not in written
    shown = " ".join(capsys.readouterr().out.split())
    assert f"{before.fingerprint} -> {after.fingerprint}" in shown
    assert f"{len(before)} -> {len(after)}: {len(gone)} removed" in shown
    assert "gone. This command does not reach copies elsewhere" in shown
    assert main(["memory", "prune", str(path), *who]) == 1  # nobody is there to drop any more
    assert "owns no pattern of this bank; nothing was changed" in capsys.readouterr().err


def test_prune_elsewhere_leaves_the_bank(path: Path) -> None:
    before = load(path, UNCHECKED).fingerprint
    assert main(["memory", "prune", str(path), "--study", "s1", "--out", str(path.parent / "less")]) == 0
    assert load(path, UNCHECKED).fingerprint == before
    assert load(path.parent / "less", UNCHECKED).descends_from(before)


def test_a_withdrawal_that_leaves_traces_is_found_out(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def names_only(bank: MemoryBank, study_ids: list[str], subject_ids: list[str]) -> MemoryBank:
        """Takes the names away and leaves what the study gave."""
        owners = tuple(tuple("x" if name == "s1" else name for name in row) for row in bank.study_ids)
        return dataclasses.replace(bank, study_ids=owners)

    def texts_kept(bank: MemoryBank, study_ids: list[str], subject_ids: list[str]) -> MemoryBank:
        """Takes the patterns away and leaves what they said with another."""
        left = withdraw(bank, study_ids, subject_ids)
        return dataclasses.replace(left, texts=(bank.texts[0], *left.texts[1:]))

    def names_kept(bank: MemoryBank, study_ids: list[str], subject_ids: list[str]) -> MemoryBank:
        """Takes the patterns away and writes the name down elsewhere."""
        left = withdraw(bank, study_ids, subject_ids)
        return dataclasses.replace(left, meta=dataclasses.replace(left.meta, selection="s1"))

    def patients_kept(bank: MemoryBank, study_ids: list[str], subject_ids: list[str]) -> MemoryBank:
        """The same of the patient."""
        left = withdraw(bank, study_ids, subject_ids)
        return dataclasses.replace(left, meta=dataclasses.replace(left.meta, selection="p1"))

    whole = load(path, UNCHECKED)
    regions = path.name == "regions"
    of_s1, study, patient = 2 if regions else 1, ["--study", "s1"], ["--patient", "p1"]
    cases = [
        (names_only, study, f"patterns left {of_s1} that"),
        (names_kept, study, "ids left 1 of"),
        (names_kept, patient, "ids left 1 of"),  # the patient's study
        (patients_kept, patient, "ids left 1 of"),
    ]
    if not regions:
        cases.append((texts_kept, study, "texts left 1 that"))
    for broken, who, trace in cases:
        save(whole, path)
        with monkeypatch.context() as patch:
            patch.setattr(memory_withdrawal, "withdraw", broken)
            assert main(["memory", "prune", str(path), *who]) == 1
        captured = capsys.readouterr()
        assert trace in " ".join(captured.out.split())
        assert "traces are left" in captured.err


def test_everyone_named_is_dropped_and_listed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    who = ["--study", "s1", "--study", "s3", "--patient", "p3", "--patient", "p1"]
    save(make(path.name, [*STUDIES, ("s5", "p5")]), path)
    assert main(["memory", "prune", str(path), *who]) == 0
    assert {study for owners in load(path, UNCHECKED).study_ids for study in owners} == {"s5"}
    assert "withdrawn study s1, s3; patient p1, p3" in " ".join(capsys.readouterr().out.split())


def test_an_id_inside_anothers_text_is_named_with_its_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "reports"
    bank = make("reports", STUDIES)
    texts = (*bank.texts[:2], "Compared with study s1, unchanged.", "Slice s12 and xs1 are no such study.")
    save(dataclasses.replace(bank, texts=texts), path)
    assert main(["memory", "prune", str(path), "--study", "s1"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "mentioned in the text of 1 (study s3): read it" in shown
    assert "gone from the changed banks, but not from what is named above" in shown


def test_what_others_own_too_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bank = make("reports", STUDIES)
    shared = dataclasses.replace(
        bank, study_ids=(("s1", "s4"), *bank.study_ids[1:]), subject_ids=(("p1", "p3"), *bank.subject_ids[1:])
    )
    save(shared, tmp_path / "reports")
    assert main(["memory", "prune", str(tmp_path / "reports"), "--study", "s1"]) == 0
    after = load(tmp_path / "reports", UNCHECKED)
    assert len(after) == 4
    assert after.study_ids[0] == ("s4",)
    assert "1 removed, 1 of them from patterns that others own too" in " ".join(capsys.readouterr().out.split())


def test_nothing_left_is_refused_and_the_bank_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(make("reports", STUDIES[:1]), tmp_path / "reports")
    assert main(["memory", "prune", str(tmp_path / "reports"), "--study", "s1"]) == 1
    assert "empty memory bank" in capsys.readouterr().err
    assert len(load(tmp_path / "reports", UNCHECKED)) == 1
    assert main(["memory", "prune", str(tmp_path / "reports")]) == 1
    assert "name the studies or patients to withdraw" in capsys.readouterr().err


def test_a_region_that_others_own_too_is_no_trace_once_its_sentences_are_gone(tmp_path: Path) -> None:
    path, bank = tmp_path / "regions", make("regions", STUDIES)
    row = next(row for row, owners in enumerate(bank.study_ids) if owners == ("s1",))
    shared = tuple(("s1", "s2") if i == row else owners for i, owners in enumerate(bank.study_ids))
    patients = tuple(("p1", "p1") if i == row else owners for i, owners in enumerate(bank.subject_ids))
    texts = tuple("Mild edema." if owners else "" for owners in shared)
    before = dataclasses.replace(bank, study_ids=shared, subject_ids=patients, texts=texts)
    after = withdraw(before, study_ids=["s1"])
    save(after, path)
    assert find_traces(before, load(path, UNCHECKED), path, {"s1"}, set()).is_gone
    save(dataclasses.replace(after, texts=tuple("Mild edema." if owners else "" for owners in after.study_ids)), path)
    assert find_traces(before, load(path, UNCHECKED), path, {"s1"}, set()).texts > 0
