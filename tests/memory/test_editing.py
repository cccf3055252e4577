from __future__ import annotations

from collections.abc import Callable

import torch

from ammrg.memory.bank import MemoryBank, owners_mask
from ammrg.memory.editing import merge_duplicates, withdraw

BankOf = Callable[..., MemoryBank]


def test_equal_reports_are_merged_and_keep_all_owners(bank_of: BankOf) -> None:
    owners = [[("s1", "p1")], [("s2", "p2")], [("s3", "p3")], [("s4", "p1"), ("s1", "p1")]]
    bank = bank_of(owners, texts=["normal.", "edema.", "normal.", "normal."])
    merged = merge_duplicates(bank)
    assert merged.texts == ("normal.", "edema.")
    assert merged.study_ids == (("s1", "s3", "s4"), ("s2",))
    assert merged.subject_ids == (("p1", "p3", "p1"), ("p2",))
    assert torch.equal(merged.patterns, bank.patterns[:2])
    # what several share is left to each of them
    assert owners_mask(merged, ["s1", "s2"], ["p1", "p2"], "patient").tolist() == [[True, True], [True, False]]
    assert merge_duplicates(merged).fingerprint == merged.fingerprint


def test_equal_regions_are_merged_within_a_finding_and_queries_never(bank_of: BankOf) -> None:
    bank = bank_of([[("s1", "p1")], [("s2", "p2")], [("s3", "p3")], [], []])
    bank.patterns[:] = bank.patterns[0].clone()
    bank.findings[:] = torch.tensor([3, 3, 4, 3, 3])
    merged = merge_duplicates(bank)
    assert merged.study_ids == (("s1", "s2"), ("s3",), (), ())
    assert merged.findings.tolist() == [3, 4, 3, 3]


def test_a_withdrawn_study_is_gone_and_what_others_share_stays(bank_of: BankOf) -> None:
    bank = bank_of([[("s1", "p1")], [("s1", "p1"), ("s2", "p2")], [("s3", "p1")], []])
    left = withdraw(bank, study_ids=["s1"])
    assert left.study_ids == (("s2",), ("s3",), ())
    assert torch.equal(left.patterns, bank.patterns[1:])
    assert withdraw(bank, subject_ids=["p1"]).study_ids == (("s2",), ())
    assert len(withdraw(bank, study_ids=["s1", "s2", "s3"]).take(torch.tensor([0]))) == 1  # the query is nobody's
    assert withdraw(bank).fingerprint == bank.fingerprint
