from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ammrg.memory.bank import MemoryBank, owners_mask
from ammrg.memory.editing import withdraw
from ammrg.memory.owners import Exclude, OwnerIndex
from tests.counted_steps import counted_steps
from tests.memory.conftest import make_bank

BankOf = Callable[..., MemoryBank]
OWNERS = [
    [("s1", "p1")],
    [("s2", "p1")],
    [("s1", "p1"), ("s2", "p1")],  # two studies, one patient
    [("s1", "p1"), ("s3", "p2")],  # two patients
    [],  # a disease query
    [("s3", "p2"), ("s3", "p2")],
    [("s9", "")],  # patient unknown
]


@pytest.mark.parametrize(
    ("exclude", "study", "patient", "allowed"),
    [
        ("study", "s1", "p1", [0, 1, 1, 1, 1, 1, 1]),
        ("patient", "s1", "p1", [0, 0, 0, 1, 1, 1, 1]),
        ("none", "s1", "p1", [1, 1, 1, 1, 1, 1, 1]),
        ("shared", "s1", "p1", [0, 0, 0, 0, 1, 1, 1]),
        ("shared", "s4", "p1", [0, 0, 0, 0, 1, 1, 1]),  # another study of the patient
        ("shared", "s3", "", [1, 1, 1, 0, 1, 0, 1]),  # patient unknown: by its study
        ("shared", "s8", "", [1, 1, 1, 1, 1, 1, 1]),
        ("study", "s3", "p2", [1, 1, 1, 1, 1, 0, 1]),
        ("patient", "s4", "p1", [0, 0, 0, 1, 1, 1, 1]),  # another study of the patient
        ("study", "s4", "p1", [1, 1, 1, 1, 1, 1, 1]),
        ("patient", "s9", "", [1, 1, 1, 1, 1, 1, 0]),  # by its study, at least
        ("patient", "s8", "", [1, 1, 1, 1, 1, 1, 1]),  # two unknown patients are not the same one
    ],
)
def test_masks_what_a_study_owns(
    bank_of: BankOf, exclude: Exclude, study: str, patient: str, allowed: list[int]
) -> None:
    mask = owners_mask(bank_of(OWNERS), [study], [patient], exclude)
    assert mask.dtype == torch.bool
    assert mask.int().tolist() == [allowed]


IDS = st.sampled_from(["a", "b", "c", "d"])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.lists(st.tuples(IDS, IDS), max_size=3), min_size=1, max_size=12),
    st.lists(st.tuples(IDS, IDS), min_size=1, max_size=4),
    st.sampled_from(get_args(Exclude)),
)
def test_equals_the_plain_definition(
    owners: list[list[tuple[str, str]]], batch: list[tuple[str, str]], exclude: str
) -> None:
    index = OwnerIndex([[s for s, _ in row] for row in owners], [[p for _, p in row] for row in owners])
    mask = index.mask([s for s, _ in batch], [p for _, p in batch], cast(Literal["study"], exclude))
    for i, (study, patient) in enumerate(batch):
        for j, row in enumerate(owners):
            alone = exclude != "none" and {s for s, _ in row} == {study}
            alone |= exclude in ("patient", "shared") and {p for _, p in row} == {patient}
            alone |= exclude == "shared" and any(study == s or patient == p for s, p in row)
            assert bool(mask[i, j]) == (not alone)


def test_the_work_of_a_batch_does_not_grow_with_the_bank() -> None:
    """The lines of Python that a mask runs are those of the batch, whatever the bank holds."""

    def work(patterns: int) -> int:
        index = OwnerIndex([[f"s{i}"] for i in range(patterns)], [[f"p{i // 2}"] for i in range(patterns)])
        studies, subjects = [f"s{i * 7}" for i in range(16)], [f"p{i * 7 // 2}" for i in range(16)]
        masks: list[Tensor] = []
        steps = counted_steps(lambda: masks.append(index.mask(studies, subjects, "patient")))
        assert int((~masks[0]).sum()) == 32
        return steps

    assert work(14_000) == work(140)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.tuples(IDS, IDS), min_size=1, max_size=3), min_size=1, max_size=8), IDS, IDS)
def test_patient_leaves_what_the_memory_would_hold_without_that_patient(
    owners: list[list[tuple[str, str]]], study: str, patient: str
) -> None:
    """The rule's reason: a study recalls in training from the memory that a new patient finds."""
    bank = make_bank(owners)
    mask = owners_mask(bank, [study], [patient], "patient")[0]
    without = withdraw(bank, subject_ids=[patient])
    left = {row.numpy().tobytes() for row in without.patterns}
    for row, (pattern, ids) in enumerate(zip(bank.patterns, bank.study_ids, strict=True)):
        own_study_alone = set(ids) == {study}  # by its study, even where the bank names another patient for it
        assert bool(mask[row]) == (pattern.numpy().tobytes() in left and not own_study_alone)


def test_bad_arguments(bank_of: BankOf) -> None:
    with pytest.raises(ValueError, match="2 study ids, but 1 subject ids"):
        owners_mask(bank_of(OWNERS), ["s1", "s2"], ["p1"], "study")
    with pytest.raises(ValueError, match="exclude must be"):
        owners_mask(bank_of(OWNERS), ["s1"], ["p1"], cast(Literal["study"], "subject"))
