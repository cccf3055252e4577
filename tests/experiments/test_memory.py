"""The memory command, called as a user calls it, on banks written as the writers write them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ammrg.findings import FINDINGS
from ammrg.memory import bank as banks
from ammrg.memory.bank import BankMeta, MemoryBank, load, save
from ammrg.memory.editing import withdraw
from datamodules.prepared import PreparedFolder
from experiments import memory
from experiments.__main__ import main

WIDTH = 8


def make(kind: str, studies: list[tuple[str, str]], data: str = "d" * 16, seed: int = 0) -> MemoryBank:
    """Two regions a study after 14 disease queries, or one report a study."""
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(14, WIDTH, generator=torch.Generator().manual_seed(99))
    owners = [owner for owner in studies for _ in range(2)] if kind == "regions" else studies
    unowned, n = (14, len(owners)) if kind == "regions" else (0, len(owners))
    findings = torch.cat([torch.arange(unowned), torch.arange(n) % 3]) if unowned else torch.full((n,), -1)
    texts = tuple(f"There is a pleural effusion of {study}." for study, _ in owners)
    return MemoryBank(
        patterns=torch.cat([queries[:unowned], torch.randn(n, WIDTH, generator=generator)]),
        study_ids=((),) * unowned + tuple((study,) for study, _ in owners),
        subject_ids=((),) * unowned + tuple((patient,) for _, patient in owners),
        findings=findings,
        boxes=torch.full((unowned + n, 4), torch.nan),
        views=torch.full((unowned + n,), -1),
        texts=texts if kind == "reports" else ("",) * (unowned + n),
        scores=torch.ones(unowned + n),
        meta=BankMeta(
            kind="regions" if kind == "regions" else "reports",
            encoder_fingerprint="e" * 16,
            data_fingerprint=data,
            split="train",
            seed=0,
            selection="coreset",
            restricted=False,
        ),
    )


STUDIES = [("s1", "p1"), ("s2", "p1"), ("s3", "p2"), ("s4", "p3")]


@pytest.fixture(params=["regions", "reports"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    save(make(request.param, STUDIES), tmp_path / request.param)
    return tmp_path / request.param


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory") / "data"
    arguments = ["prepare", "--dataset", "phantom", "--out", str(folder), "--studies", "train=4,val=2,test=2"]
    assert main(arguments) == 0
    return folder


def test_show_counts_names_neighbours_and_draws(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "show", str(path), "--map", str(path.parent / "map.png"), "--neighbours", "2"]) == 0
    shown = capsys.readouterr().out
    flat = " ".join(shown.split())
    assert "4 studies of 3 patients, split train" in flat
    assert load(path).fingerprint in flat
    if path.name == "regions":
        assert "22 patterns of 8 numbers" in flat
        assert "14 patterns of nobody (disease queries), 0 of several" in flat
        assert FINDINGS[2] in flat
    else:
        assert "Pleural Effusion" in flat  # read from the texts
        assert "of s3." in flat
    picture = cv2.imread(str(path.parent / "map.png"))
    assert picture is not None
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_show_lists_the_neighbours_of_what_is_asked_for(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "show", str(path), "--of", "s3", "0", "--neighbours", "1"]) == 0
    lines = capsys.readouterr().out.split("nearest patterns of other patients (cosine)")[1].splitlines()
    asked = [line for line in lines if line and not line.startswith(" ")]
    assert len(asked) == (3 if path.name == "regions" else 2)
    assert "study s3" in asked[0]
    near = [line for line in lines if line.startswith("    ")]
    assert len(near) == len(asked)
    assert "study s3" not in near[0]
    assert main(["memory", "show", str(path), "--of", "s9"]) == 1
    assert "--of s9: no study that owns a pattern" in capsys.readouterr().err


def test_check_says_what_was_checked(path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "check", str(path)]) == 0
    assert "evaluation studies: not checked (--data" in capsys.readouterr().out
    save(dataclasses.replace(load(path), meta=meta_of(path, prepared)), path)
    assert main(["memory", "check", str(path), "--data", str(prepared)]) == 0
    shown = capsys.readouterr().out
    assert "evaluation studies: none of 4 owns a pattern" in shown
    assert PreparedFolder(prepared).card["fingerprint"] in shown


def meta_of(path: Path, prepared: Path) -> BankMeta:
    """The bank's meta as if it had been built from these data."""
    return dataclasses.replace(load(path).meta, data_fingerprint=PreparedFolder(prepared).card["fingerprint"])


@pytest.mark.parametrize("split", ["val", "test"])
def test_check_catches_a_planted_evaluation_study(
    path: Path, prepared: Path, split: str, capsys: pytest.CaptureFixture[str]
) -> None:
    index = PreparedFolder(prepared).index(split)
    leaked, patient = index.study_ids[1], index.subject_ids[1]
    for owner in ((leaked, "anyone"), ("new_study", patient)):
        kind = path.name
        bank = make(kind, [*STUDIES, owner])
        save(dataclasses.replace(bank, meta=meta_of(path, prepared)), path)
        assert main(["memory", "check", str(path), "--data", str(prepared)]) == 1
        assert (leaked if owner[0] == leaked else patient) in capsys.readouterr().err


def test_check_refuses_other_data(path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "check", str(path), "--data", str(prepared)]) == 1
    assert "data_fingerprint is dddd" in capsys.readouterr().err


def test_merge_takes_in_new_studies(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = path.parent / "new"
    save(make(path.name, [("s5", "p5"), ("s6", "p6")], data="n" * 16, seed=1), new)
    assert main(["memory", "merge", str(path), str(new), "--out", str(path.parent / "both")]) == 0
    both = load(path.parent / "both")
    added = 4 if path.name == "regions" else 2
    assert len(both) == len(load(path)) + added
    assert {study for owners in both.study_ids for study in owners} == {f"s{i}" for i in range(1, 7)}
    assert both.descends_from(load(path).fingerprint)
    shown = capsys.readouterr().out
    assert f"fingerprint {load(path).fingerprint} -> {both.fingerprint}" in shown
    assert "not checked against any evaluation split" in shown
    assert main(["memory", "show", str(path.parent / "both")]) == 0
    assert "merged with" in capsys.readouterr().out


def test_merge_refuses_an_evaluation_study_and_writes_nothing(
    path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(dataclasses.replace(load(path), meta=meta_of(path, prepared)), path)
    leaked = PreparedFolder(prepared).index("test").study_ids[0]
    save(make(path.name, [(leaked, "p5")], seed=1), path.parent / "new")
    out = path.parent / "both"
    assert main(["memory", "merge", str(path), str(path.parent / "new"), "--out", str(out), "--data", str(prepared)])
    assert leaked in capsys.readouterr().err
    assert not out.with_suffix(".json").exists()


@pytest.mark.parametrize(("who", "dropped"), [(["--study", "s1"], {"s1"}), (["--patient", "p1"], {"s1", "s2"})])
def test_prune_drops_and_proves(
    path: Path, who: list[str], dropped: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = load(path)
    assert main(["memory", "prune", str(path), *who]) == 0
    after = load(path)
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
    assert f"{len(before)} -> {len(after)}: {len(gone)} went" in shown
    assert "gone. Copies elsewhere" in shown
    assert main(["memory", "prune", str(path), *who]) == 1  # nobody is there to drop any more
    assert "owns no pattern of this bank; nothing was changed" in capsys.readouterr().err


def test_prune_elsewhere_leaves_the_bank(path: Path) -> None:
    before = load(path).fingerprint
    assert main(["memory", "prune", str(path), "--study", "s1", "--out", str(path.parent / "less")]) == 0
    assert load(path).fingerprint == before
    assert load(path.parent / "less").descends_from(before)


def test_a_withdrawal_that_leaves_traces_is_found_out(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def names_only(bank: MemoryBank, study_ids: list[str], subject_ids: list[str]) -> MemoryBank:
        """Takes the names away and leaves what the study gave."""
        owners = tuple(tuple("x" if name == "s1" else name for name in row) for row in bank.study_ids)
        return dataclasses.replace(bank, study_ids=owners)

    def names_kept(bank: MemoryBank, study_ids: list[str], subject_ids: list[str]) -> MemoryBank:
        """Takes the patterns away and writes the name down elsewhere."""
        left = withdraw(bank, study_ids, subject_ids)
        return dataclasses.replace(left, meta=dataclasses.replace(left.meta, selection="s1"))

    whole = load(path)
    of_s1 = 2 if path.name == "regions" else 1
    for broken, trace in ((names_only, f"patterns left {of_s1} that"), (names_kept, "ids left 1 of")):
        save(whole, path)
        with monkeypatch.context() as patch:
            patch.setattr(memory, "withdraw", broken)
            assert main(["memory", "prune", str(path), "--study", "s1"]) == 1
        captured = capsys.readouterr()
        assert trace in " ".join(captured.out.split())
        assert "traces stayed" in captured.err


def test_what_others_own_too_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bank = make("reports", STUDIES)
    shared = dataclasses.replace(
        bank, study_ids=(("s1", "s4"), *bank.study_ids[1:]), subject_ids=(("p1", "p3"), *bank.subject_ids[1:])
    )
    save(shared, tmp_path / "reports")
    assert main(["memory", "prune", str(tmp_path / "reports"), "--study", "s1"]) == 0
    after = load(tmp_path / "reports")
    assert len(after) == 4
    assert after.study_ids[0] == ("s4",)
    assert "1 struck, 1 of them from patterns that others own too" in " ".join(capsys.readouterr().out.split())


def test_nothing_left_is_refused_and_the_bank_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(make("reports", STUDIES[:1]), tmp_path / "reports")
    assert main(["memory", "prune", str(tmp_path / "reports"), "--study", "s1"]) == 1
    assert "empty memory bank" in capsys.readouterr().err
    assert len(load(tmp_path / "reports")) == 1
    assert main(["memory", "prune", str(tmp_path / "reports")]) == 1
    assert "name whom to drop" in capsys.readouterr().err


def test_files_can_be_read_without_this_project(path: Path) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(path.with_suffix(".safetensors"))
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert tensors["patterns"].shape == (sidecar["count"], sidecar["width"])
    assert len(sidecar["study_ids"]) == sidecar["count"]
    assert sidecar["format"] == banks.FORMAT
