"""The checks of a memory bank: no evaluation study owns a pattern, and content is within its ranges."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from ammrg.errors import MemoryBankError
from ammrg.memory import bank_files
from ammrg.memory.bank import MemoryBank
from ammrg.memory.bank_checks import check_leaks
from ammrg.memory.bank_files import load, save
from ammrg.memory.editing import without_identities
from ammrg.memory.held_out import HeldOut, Unchecked
from tests.unchecked import UNCHECKED

BankOf = Callable[..., MemoryBank]
OWNERS = [[("s1", "p1")], [("s2", "p1")], [("s3", "p2"), ("s4", "p3")], []]


def held_out(studies: Iterable[str] = (), subjects: Iterable[str] = ()) -> HeldOut:
    return HeldOut(frozenset(studies), frozenset(subjects))


def test_a_bank_is_read_against_evaluation_studies_or_with_a_reason(tmp_path: Path, bank_of: BankOf) -> None:
    save(bank_of(OWNERS), tmp_path / "regions")
    with pytest.raises(TypeError, match="held_out"):
        load(tmp_path / "regions")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="give the reason why"):
        Unchecked(" ")


@pytest.mark.parametrize("kind", ["regions", "reports"])
def test_a_bank_without_owners_is_refused_where_evaluation_studies_are_known(
    tmp_path: Path, bank_of: BankOf, kind: str
) -> None:
    texts = None if kind == "regions" else [f"report {i}" for i in range(20)]
    save(without_identities(bank_of([[(f"test{i}", "")] for i in range(20)], texts)), tmp_path / kind)
    assert len(load(tmp_path / kind, UNCHECKED)) == 20
    with pytest.raises(MemoryBankError, match=rf"{kind}\.json: 20 of its 20 patterns have no owner"):
        load(tmp_path / kind, held_out())


def test_knowledge_has_texts_and_no_owner(tmp_path: Path, bank_of: BankOf) -> None:
    bank = bank_of([[] for _ in range(20)], [f"text {i}" for i in range(20)])
    bank = dataclasses.replace(bank, meta=dataclasses.replace(bank.meta, kind="knowledge"))
    save(bank, tmp_path / "texts")
    assert load(tmp_path / "texts", held_out(["t"])).texts == bank.texts  # 20 patterns of nobody, and no leak
    with pytest.raises(MemoryBankError, match=r"a piece of knowledge has a text, but not in 1 of 20 patterns"):
        save(dataclasses.replace(bank, texts=("", *bank.texts[1:])), tmp_path / "texts")
    owned = dataclasses.replace(
        bank, study_ids=(("s",), *bank.study_ids[1:]), subject_ids=(("p",), *bank.study_ids[1:])
    )
    with pytest.raises(MemoryBankError, match=r"a piece of knowledge has no owner, but not in 1 of 20 patterns"):
        save(owned, tmp_path / "texts")
    bare = without_identities(bank)
    save(bare, tmp_path / "bare")
    assert load(tmp_path / "bare", held_out(["t"])).descends_from(bank.fingerprint)


def test_a_planted_test_study_is_caught_at_load_and_named(tmp_path: Path, bank_of: BankOf) -> None:
    owners = [[(f"train{i}", f"p{i}")] for i in range(50)]
    owners[37] = [("train37", "p37"), ("test9", "q9")]  # slipped in as the second owner of a merged pattern
    save(bank_of(owners), tmp_path / "regions")
    with pytest.raises(
        MemoryBankError, match=r"regions\.json: holds patterns of 1 studies .*: test9\. .*build it again"
    ):
        load(tmp_path / "regions", held_out(studies=[f"test{i}" for i in range(20)]))
    with pytest.raises(MemoryBankError, match=r"1 patients of the validation or test split: q9\."):
        load(tmp_path / "regions", held_out(subjects={"q9", "q10"}))
    assert len(load(tmp_path / "regions", held_out(["test1"], ["q1", ""]))) == 50


def test_many_leaks_are_named_by_the_first_five_and_counted(bank_of: BankOf) -> None:
    bank = bank_of([[(f"t{i}", "")] for i in range(9)])
    with pytest.raises(MemoryBankError, match=r"9 studies .*: t0, t1, t2, t3, t4 and 4 more\."):
        check_leaks(bank, held_out([f"t{i}" for i in range(9)]))
    check_leaks(bank, held_out(subjects=[""]))  # unknown patients are not one patient


def test_an_empty_bank_and_broken_patterns_are_refused_both_ways(tmp_path: Path, bank_of: BankOf) -> None:
    with pytest.raises(MemoryBankError, match="empty memory bank"):
        save(bank_of([]), tmp_path / "empty")
    broken = bank_of([[(f"s{i}", "p")] for i in range(9)])
    broken.patterns[2, 1] = torch.nan
    broken.patterns[5, 0] = torch.inf
    with pytest.raises(MemoryBankError, match=r"2 of 9 patterns hold NaN or infinity \(rows 2, 5\)"):
        save(broken, tmp_path / "broken")
    assert list(tmp_path.iterdir()) == []
    for name, bank in (("empty", bank_of([])), ("broken", broken)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bank_files, "check_content", lambda *_: None)
            save(bank, tmp_path / name)
        with pytest.raises(MemoryBankError, match="empty memory bank" if name == "empty" else "2 of 9"):
            load(tmp_path / name, UNCHECKED)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("scores", torch.nan, r"scores lie in \[0, 1\]"),
        ("scores", 1.5, r"scores lie in \[0, 1\]"),
        ("views", -7, "views count from 0, or are -1"),
        ("boxes", 9e9, "boxes are x0 <= x1"),
        ("boxes", torch.tensor([0.3, 0.1, 0.2, 0.4]), "boxes are x0 <= x1"),
        ("boxes", torch.tensor([0.1, torch.nan, 0.2, 0.4]), "boxes are x0 <= x1"),
        ("findings", -1, "a region or a disease query has a finding"),
    ],
)
def test_content_out_of_range_is_refused_both_ways(
    tmp_path: Path, bank_of: BankOf, monkeypatch: pytest.MonkeyPatch, field: str, value: Any, rule: str
) -> None:
    bank = bank_of(OWNERS)
    getattr(bank, field)[2] = value
    message = rf"{rule}.*, but not in 1 of 4 patterns \(rows 2\)"
    with pytest.raises(MemoryBankError, match=message):
        save(bank, tmp_path / "regions")
    with monkeypatch.context() as patch:
        patch.setattr(bank_files, "check_content", lambda *_: None)
        save(bank, tmp_path / "regions")
    with pytest.raises(MemoryBankError, match=message):
        load(tmp_path / "regions", UNCHECKED)


def test_a_report_has_a_text_an_owner_and_no_finding(tmp_path: Path, bank_of: BankOf) -> None:
    bank = bank_of(OWNERS[:2], texts=["normal.", "edema."])
    for changes, rule in (
        ({"texts": ("normal.", "")}, "a report has a text"),
        ({"study_ids": (("s1",), ()), "subject_ids": (("p1",), ())}, "a report has an owner"),
        ({"findings": torch.tensor([-1, 3])}, "a report has no finding of its own"),
    ):
        with pytest.raises(MemoryBankError, match=rf"{rule}, but not in 1 of 2 patterns \(rows 1\)"):
            save(dataclasses.replace(bank, **changes), tmp_path / "reports")


def test_patterns_of_one_number_are_refused(tmp_path: Path, bank_of: BankOf) -> None:
    with pytest.raises(MemoryBankError, match="patterns of width 1; layer normalisation makes them zero"):
        save(bank_of(OWNERS, width=1), tmp_path / "regions")


def test_a_bank_of_another_split_is_never_written(tmp_path: Path, bank_of: BankOf) -> None:
    with pytest.raises(MemoryBankError, match=r"regions\.safetensors: its patterns come from the split 'val'"):
        save(bank_of(OWNERS, split="val"), tmp_path / "regions")
    assert list(tmp_path.iterdir()) == []
