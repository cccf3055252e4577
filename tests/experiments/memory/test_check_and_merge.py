"""memory check and memory merge: no study of an evaluation split comes in, and none is overlooked."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ammrg.memory.bank_files import load, save
from datamodules.prepared import PreparedFolder
from experiments.__main__ import main
from tests.experiments.memory.banks import STUDIES, make, meta_of
from tests.unchecked import UNCHECKED


def test_check_says_what_was_checked(path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "check", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "evaluation studies: not checked (give --data" in shown
    if path.name == "reports":  # no checkpoint has a text encoder's fingerprint
        assert f"encoder: {'e' * 16}, a text encoder that no checkpoint holds; merge compares it" in shown
    else:
        assert "encoder: not checked (give --data" in shown
    save(dataclasses.replace(load(path, UNCHECKED), meta=meta_of(path, prepared)), path)
    assert main(["memory", "check", str(path), "--data", str(prepared)]) == 0
    shown = capsys.readouterr().out
    assert "evaluation studies: none of the 4 owns a pattern" in shown
    assert PreparedFolder(prepared).card["fingerprint"] in shown


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


def test_check_counts_whose_text_others_have_too(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = PreparedFolder(prepared)
    train, test = folder.index("train"), folder.index("test")
    a, *others = zip(train.study_ids, train.subject_ids, strict=True)
    b = next(other for other in others if other[1] != a[1])
    bank = make("reports", [a, b])
    owners = [(a, b), (b,)]
    bank = dataclasses.replace(
        bank,
        study_ids=tuple(tuple(study for study, _ in row) for row in owners),
        subject_ids=tuple(tuple(patient for _, patient in row) for row in owners),
        texts=(train.reports[0], test.reports[1]),
        meta=dataclasses.replace(bank.meta, data_fingerprint=folder.card["fingerprint"]),
    )
    save(bank, tmp_path / "reports")
    assert main(["memory", "check", str(tmp_path / "reports"), "--data", str(prepared)]) == 0
    # the first text is b's too, for its writer a; the second, b's alone, is that of a test study
    assert "same text as another patient's: train 1 of 4 (25.0%), val 0 of 2 (0.0%), test 1 of 2 (50.0%)" in " ".join(
        capsys.readouterr().out.split()
    )


def test_check_refuses_other_data(path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["memory", "check", str(path), "--data", str(prepared)]) == 1
    assert "data_fingerprint is dddd" in capsys.readouterr().err


def test_merge_takes_in_new_studies(path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = path.parent / "new"
    save(dataclasses.replace(load(path, UNCHECKED), meta=meta_of(path, prepared)), path)
    save(make(path.name, [("s5", "p5"), ("s6", "p6")], data="n" * 16, seed=1), new)
    words = ["memory", "merge", str(path), str(new), "--out", str(path.parent / "both"), "--data", str(prepared)]
    assert main(words) == 0
    both = load(path.parent / "both", UNCHECKED)
    added = 4 if path.name == "regions" else 2
    assert len(both) == len(load(path, UNCHECKED)) + added
    assert {study for owners in both.study_ids for study in owners} == {f"s{i}" for i in range(1, 7)}
    assert both.descends_from(load(path, UNCHECKED).fingerprint)
    shown = capsys.readouterr().out
    assert f"fingerprint {load(path, UNCHECKED).fingerprint} -> {both.fingerprint}" in shown
    assert main(["memory", "show", str(path.parent / "both")]) == 0
    assert "merged with" in capsys.readouterr().out


def test_merge_refuses_an_evaluation_study_and_writes_nothing(
    path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(dataclasses.replace(load(path, UNCHECKED), meta=meta_of(path, prepared)), path)
    leaked = PreparedFolder(prepared).index("test").study_ids[0]
    save(make(path.name, [(leaked, "p5")], seed=1), path.parent / "new")
    out = path.parent / "both"
    assert main(["memory", "merge", str(path), str(path.parent / "new"), "--out", str(out), "--data", str(prepared)])
    assert leaked in capsys.readouterr().err
    assert not out.with_suffix(".json").exists()


def test_merge_takes_the_data_of_the_run_or_refuses(
    path: Path, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    memory, out = tmp_path / "run" / "memory", tmp_path / "run" / "memory" / "both"
    memory.mkdir(parents=True)
    bank, new = memory / path.name, tmp_path / "new"
    save(dataclasses.replace(load(path, UNCHECKED), meta=meta_of(path, prepared)), bank)
    leaked = PreparedFolder(prepared).index("test").study_ids[0]
    save(make(path.name, [(leaked, "p5")], seed=1), new)
    merge = ["memory", "merge", str(bank), str(new), "--out", str(out)]
    settings = memory / "config.yaml"
    for folder in (None, tmp_path / "nowhere", prepared):
        if folder is not None:
            settings.write_text(f"data: {{init_args: {{folder: {folder}}}}}\n")
        assert main(merge) == 1
        said = capsys.readouterr().err
        wanted = f"holds patterns of 1 studies of the validation or test split: {leaked}"
        assert (wanted if folder == prepared else "name the prepared data with --data FOLDER") in said
        assert len(said.strip().splitlines()) == 1
        assert not out.with_suffix(".json").exists()
    save(make(path.name, [("s5", "p5")], seed=1), new)
    assert main(merge) == 0
    assert "s5" in {study for owners in load(out, UNCHECKED).study_ids for study in owners}


@pytest.mark.parametrize("out", ["both", "same"])
def test_a_refused_merge_writes_nothing(
    path: Path, prepared: Path, out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    new, target = path.parent / "new", path if out == "same" else path.parent / out
    save(make(path.name, [("s5", "p5")], seed=1), new)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    words = ["memory", "merge", str(path), str(new), "--out", str(target), "--data", str(prepared)]
    assert main(words) == 1  # the bank is of other data
    assert f"{path.name}.json: data_fingerprint is dddd" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_leak_is_laid_to_the_bank_that_has_it(path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leaked, new = PreparedFolder(prepared).index("test").study_ids[0], path.parent / "new"
    for leaking, studies, others in (
        (path, [*STUDIES, (leaked, "p9")], [("s5", "p5")]),
        (new, STUDIES, [(leaked, "p9")]),
    ):
        save(make(path.name, studies, data=PreparedFolder(prepared).card["fingerprint"]), path)
        save(make(path.name, others, seed=1), new)
        out = ["--out", str(path.parent / "both"), "--data", str(prepared)]
        assert main(["memory", "merge", str(path), str(new), *out]) == 1
        assert f"error: {leaking}.json: holds patterns of 1 studies" in capsys.readouterr().err
