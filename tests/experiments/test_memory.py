"""The memory command, called as a user calls it, on banks written as the writers write them."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from rich.console import Console

from ammrg.findings import FINDINGS
from ammrg.memory.bank import FORMAT, BankMeta, MemoryBank
from ammrg.memory.bank_files import load, save
from ammrg.memory.editing import withdraw
from ammrg.metrics.associations import AssociationScores
from datamodules.prepared import PreparedFolder
from experiments.__main__ import main
from experiments.memories import withdrawal as memory_withdrawal
from tests.unchecked import UNCHECKED

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
    assert load(path, UNCHECKED).fingerprint in flat
    if path.name == "regions":
        assert "22 patterns of 8 numbers" in flat
        assert "14 patterns without owner (disease queries), 0 with several" in flat
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
    assert "--of s9: neither a study that owns a pattern" in capsys.readouterr().err


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


def meta_of(path: Path, prepared: Path) -> BankMeta:
    """The bank's meta as if it had been built from these data."""
    return dataclasses.replace(
        load(path, UNCHECKED).meta, data_fingerprint=PreparedFolder(prepared).card["fingerprint"]
    )


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


def memories_with_pages(folder: Path) -> Path:
    """Both banks of a run and the pages of its mining, as the writers leave them."""
    for kind in ("regions", "reports"):
        save(make(kind, STUDIES), folder / kind)
    (folder / "regions_report").mkdir()
    (folder / "regions_report" / "edema.png").write_bytes(b"films of s1")
    (folder / "regions_report" / "report.json").write_text("{}")
    (folder / "config.yaml").write_text("seed_everything: 0")
    return folder


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


def test_show_lists_the_banks_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = memories_with_pages(tmp_path / "m")
    assert main(["memory", "show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert load(folder / "regions", UNCHECKED).fingerprint in shown
    assert load(folder / "reports", UNCHECKED).fingerprint in shown
    assert main(["memory", "show", str(folder), "--of", "s1"]) == 1
    assert "--of and --map need one bank" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    assert main(["memory", "show", str(tmp_path / "none")]) == 1
    assert "none: no memory bank in this folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--neighbours", "-1"], ["--neighbours", "0"], ["--map", "m"], ["--map", "m.txt"], ["--map", "a_folder"]]
)
def test_options_out_of_range_are_refused_at_once(
    path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["memory", "show", str(path), *words])
    assert stop.value.code == 2
    assert f"argument {words[0]}: {words[1]!r}" in capsys.readouterr().err


@pytest.mark.parametrize("top", ["0", "-3", "2.5"])
def test_associations_of_no_region_are_refused_before_any_work(top: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["memory", "associations", "no_such_run", f"--top={top}"])
    assert f"argument --top: {top!r}: must be a whole number of at least 1" in capsys.readouterr().err


def test_associations_fit_a_terminal_of_80_columns() -> None:
    from experiments.memories.measures import association_table

    scores = AssociationScores(top=0.5, top_k=0.4, weight=0.3, chance=0.1, on_regions=1.0, queries=1000)
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(association_table(scores, dict.fromkeys(FINDINGS, scores), 5))
    shown = console.export_text()
    assert all(name in shown for name in FINDINGS)
    assert "…" not in shown


def test_what_cannot_be_shown_or_written_is_one_message(
    path: Path, prepared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path.parent / "file").write_text("")
    (path.parent / "taken.png").mkdir()
    for picture in (path.parent / "file" / "map.png", path.parent / "taken.png"):
        assert main(["memory", "show", str(path), "--map", str(picture)]) == 1
        assert f"--map {picture}: cannot be written" in capsys.readouterr().err
    assert main(["memory", "show", str(path), "--of", "²"]) == 1  # a digit, but no number
    assert "--of ²: neither a study" in capsys.readouterr().err
    save(make(path.name, [("s5", "p5")], seed=1), path.parent / "new")
    save(dataclasses.replace(load(path, UNCHECKED), meta=meta_of(path, prepared)), path)
    words = ["--out", f"{path.parent}/file/both", "--data", str(prepared)]
    assert main(["memory", "merge", str(path), str(path.parent / "new"), *words]) == 1
    assert "both.safetensors: cannot be written" in capsys.readouterr().err


def test_a_stopped_withdrawal_does_not_claim_to_go_on(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(memory_withdrawal, "withdraw", stopped)
    assert main(["memory", "prune", str(path), "--study", "s1"]) == 130
    assert capsys.readouterr().err.strip() == "stopped"


def test_files_can_be_read_without_this_project(path: Path) -> None:
    from safetensors.numpy import load_file

    tensors = load_file(path.with_suffix(".safetensors"))
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert tensors["patterns"].shape == (sidecar["count"], sidecar["width"])
    assert len(sidecar["study_ids"]) == sidecar["count"]
    assert sidecar["format"] == FORMAT
