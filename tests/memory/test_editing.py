from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch

from ammrg.errors import MemoryBankError
from ammrg.memory.bank import MemoryBank, owners_mask
from ammrg.memory.editing import extend, merge_duplicates, withdraw, without_identities

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
    assert withdraw(bank, study_ids=["unknown"]).fingerprint == bank.fingerprint
    (edit,) = left.meta.edits
    assert edit.before == bank.fingerprint
    assert edit.what == "withdrawn: 1 of 4 patterns, 2 owners struck"
    assert left.descends_from(bank.fingerprint)
    assert len(withdraw(left, study_ids=["s2"]).meta.edits) == 2


def test_withdrawal_lowers_the_count_of_owners_and_masks_for_who_is_left_alone(bank_of: BankOf) -> None:
    bank = bank_of([[("s1", "p1"), ("s2", "p2"), ("s3", "p3")]], texts=["normal."])
    two = withdraw(bank, study_ids=["s2"])
    assert two.study_ids == (("s1", "s3"),)
    assert owners_mask(two, ["s1"], ["p1"], "patient").tolist() == [[True]]
    one = withdraw(two, subject_ids=["p3"])
    assert one.study_ids == (("s1",),)
    assert owners_mask(one, ["s1"], ["p1"], "patient").tolist() == [[False]]
    assert one.texts == ("normal.",)


def test_a_shared_region_does_not_tell_a_place_on_a_withdrawn_film(bank_of: BankOf) -> None:
    bank = bank_of([[("s1", "p1"), ("s2", "p2")], [("s2", "p2"), ("s1", "p1")], [("s3", "p3")]])
    left = withdraw(bank, study_ids=["s1"])
    assert left.study_ids == (("s2",), ("s2",), ("s3",))
    assert left.boxes[0].isnan().all()
    assert left.views.tolist() == [-1, 0, 0]
    assert torch.equal(left.boxes[1:], bank.boxes[1:])


def changed(bank: MemoryBank, **changes: Any) -> MemoryBank:
    fields = {field.name for field in dataclasses.fields(bank)}
    meta = dataclasses.replace(bank.meta, **{k: v for k, v in changes.items() if k not in fields})
    return dataclasses.replace(bank, meta=meta, **{k: v for k, v in changes.items() if k in fields})


def test_a_bank_is_extended_with_new_studies(bank_of: BankOf) -> None:
    bank = bank_of([[], [("s1", "p1")], [("s2", "p2")]], texts=["", "normal.", "edema."])
    new = bank_of([[], [("s3", "p3")], [("s4", "p2")]], texts=["", "effusion.", "normal."], restricted=True)
    new = changed(new, patterns=torch.cat([bank.patterns[:1], torch.randn(1, 4), bank.patterns[1:2]]))
    both = extend(bank, changed(new, data_fingerprint="n" * 16))
    assert both.texts == ("", "normal.", "edema.", "effusion.")
    assert both.study_ids == ((), ("s1", "s4"), ("s2",), ("s3",))
    assert both.subject_ids == ((), ("p1", "p2"), ("p2",), ("p3",))
    assert torch.equal(both.patterns[:3], bank.patterns)
    assert torch.equal(both.patterns[3], new.patterns[1])
    assert both.meta.restricted
    assert both.meta.data_fingerprint == "d" * 16
    (edit,) = both.meta.edits
    assert f"of data {'n' * 16}: 3 + 2 patterns, 1 doubled ones merged" in edit.what
    assert both.descends_from(bank.fingerprint)
    again = extend(both, both)
    assert (again.study_ids, again.texts) == (both.study_ids, both.texts)  # nothing twice
    assert withdraw(both, study_ids=["s3", "s4"]).study_ids == bank.study_ids


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "reports"}, "first bank's kind is regions, the second's reports"),
        ({"encoder_fingerprint": "f" * 16}, "encoder_fingerprint is e{16}, the second's f{16}"),
        ({"patterns": torch.zeros(3, 5)}, "width 4 and 5"),
        ({"patterns": torch.zeros(3, 4)}, "different patterns without an owner"),
        ({"subject_ids": ((), ("p9",), ("p2",))}, "study s1 belongs to patient p1 in one place and to p9"),
    ],
)
def test_banks_that_do_not_fit_are_not_merged(bank_of: BankOf, changes: dict[str, Any], message: str) -> None:
    bank = bank_of([[], [("s1", "p1")], [("s2", "p2")]])
    with pytest.raises(MemoryBankError, match=message):
        extend(bank, changed(bank, **changes))


def test_a_bank_without_identities_keeps_its_patterns_and_says_what_it_came_from(bank_of: BankOf) -> None:
    bank = bank_of([[("s1", "p1")], [("s1", "p1"), ("s2", "p2")], []], texts=["normal.", "edema.", ""])
    bare = without_identities(bank)
    assert bare.study_ids == bare.subject_ids == ((), (), ())
    assert bare.texts == ("", "", "")
    assert bare.views.tolist() == [-1, -1, -1]
    for name in ("patterns", "findings", "scores"):
        assert torch.equal(getattr(bare, name), getattr(bank, name))
    assert bare.descends_from(bank.fingerprint)
    assert owners_mask(bare, ["s1"], ["p1"], "patient").tolist() == [[True, True, True]]


def test_regions_with_one_sentence_stay_different_regions(bank_of: BankOf) -> None:
    bank = bank_of([[("s1", "p1")], [("s1", "p1")], [("s2", "p2")], []])
    bank = dataclasses.replace(
        bank, findings=torch.tensor([4, 4, 4, 0]), texts=("Mild edema.", "Mild edema.", "Mild edema.", "")
    )
    assert merge_duplicates(bank).study_ids == (("s1",), ("s1",), ("s2",), ())
    assert owners_mask(merge_duplicates(bank), ["s1"], ["p1"], "patient").tolist() == [[False, False, True, True]]


def test_a_region_of_several_loses_place_and_sentences_with_its_first_owner(bank_of: BankOf) -> None:
    bank = bank_of([[("s1", "p1"), ("s2", "p2")], [("s3", "p3")]])
    places = torch.tensor([[True, False, False, False, True], [False, True, True, False, False]])
    bank = dataclasses.replace(bank, texts=("Left basal edema.", "Right upper edema."), places=places)
    left = withdraw(bank, study_ids=["s1"])
    assert left.texts == ("", "Right upper edema.")
    assert left.places.tolist() == [[False] * 5, places[1].tolist()]
    kept = withdraw(bank, study_ids=["s2"])
    assert kept.texts == bank.texts
    assert kept.places.equal(places)
