"""A memory bank: its fields, its rows and its history."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ammrg.errors import MemoryBankError
from ammrg.memory.bank import BankEdit, MemoryBank
from ammrg.memory.bank_files import load, save
from tests.unchecked import UNCHECKED

BankOf = Callable[..., MemoryBank]
OWNERS = [[("s1", "p1")], [("s2", "p1")], [("s3", "p2"), ("s4", "p3")], []]


def test_fields_that_do_not_fit_are_refused_at_construction(bank_of: BankOf) -> None:
    bank = bank_of(OWNERS)
    with pytest.raises(MemoryBankError, match=r"patterns must be torch.float32 \[4, 4\], not torch.float64"):
        dataclasses.replace(bank, patterns=bank.patterns.double())
    with pytest.raises(MemoryBankError, match=r"boxes must be torch.float32 \[4, 4\], not torch.float32 \[3, 4\]"):
        dataclasses.replace(bank, boxes=bank.boxes[:3])
    with pytest.raises(MemoryBankError, match=r"patterns must be a matrix \[n d\], not \[16\]"):
        dataclasses.replace(bank, patterns=bank.patterns.flatten())
    for name in ("study_ids", "subject_ids", "texts"):
        with pytest.raises(MemoryBankError, match=f"4 patterns, but 3 {name}"):
            dataclasses.replace(bank, **{name: getattr(bank, name)[:3]})
    with pytest.raises(MemoryBankError, match=r"findings\[1\] is 14"):
        dataclasses.replace(bank, findings=torch.tensor([0, 14, -1, 2]))


def test_an_edited_bank_knows_what_it_came_from(tmp_path: Path, bank_of: BankOf) -> None:
    bank = bank_of(OWNERS)
    edits = (BankEdit(bank.fingerprint, "withdrawn: 1 of 5 patterns"), BankEdit("f" * 16, "merged"))
    edited = dataclasses.replace(bank, meta=dataclasses.replace(bank.meta, edits=edits))
    save(edited, tmp_path / "regions")
    back = load(tmp_path / "regions", UNCHECKED)
    assert back.meta.edits == edits
    assert back.fingerprint == edited.fingerprint != bank.fingerprint
    assert all(back.descends_from(name) for name in (back.fingerprint, bank.fingerprint, "f" * 16))
    assert not bank.descends_from(back.fingerprint)


def test_take_keeps_the_order_asked_for(bank_of: BankOf) -> None:
    bank = bank_of(OWNERS)
    part = bank.take(torch.tensor([2, 0]))
    assert part.study_ids == (("s3", "s4"), ("s1",))
    assert torch.equal(part.patterns, bank.patterns[[2, 0]])
    assert part.findings.tolist() == [2, 0]
