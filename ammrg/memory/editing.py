"""Banks from banks: duplicates merged, new studies taken in, studies withdrawn, ids and texts left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from ammrg.errors import MemoryBankError
from ammrg.memory.bank import BankEdit, MemoryBank

WITHDRAWN = "withdrawn"
"""How an edit that took studies out begins."""
Owners = Mapping[int, Mapping[str, str]]
"""Row of a bank -> {study: patient}."""


def merge_duplicates(bank: MemoryBank) -> MemoryBank:
    """Merges patterns that say the same; the first one stays and takes over all owners (each study once).

    The same = equal text, for patterns with a text; otherwise equal finding and equal pattern, number for number.
    Patterns without an owner (disease queries) are never merged.
    """
    first: dict[tuple[object, ...], int] = {}
    owners: dict[int, dict[str, str]] = {}
    rows = bank.patterns.numpy()
    for row, (studies, subjects) in enumerate(zip(bank.study_ids, bank.subject_ids, strict=True)):
        text = bank.texts[row]
        content: object = text or rows[row].tobytes()
        key = (bool(text), content, int(bank.findings[row])) if studies else (row,)
        kept = first.setdefault(key, row)
        mine = owners.setdefault(kept, {})
        for study, subject in zip(studies, subjects, strict=True):
            mine.setdefault(study, subject)
    return _with_owners(bank, owners)


def extend(bank: MemoryBank, other: MemoryBank) -> MemoryBank:
    """The bank with another's patterns after its own: new studies are taken in, doubled patterns merged.

    Patterns without an owner (disease queries) of the other bank are those of this one already. What the bank belongs
    to (data, seed, selection) stays that of ``bank``; where either is restricted, so is the whole.

    Raises:
        MemoryBankError: banks of different kinds, encoders or widths, queries that differ, or a study that the two
            give to different patients.
    """
    for field in ("kind", "encoder_fingerprint"):
        mine, theirs = getattr(bank.meta, field), getattr(other.meta, field)
        if mine != theirs:
            raise MemoryBankError(
                f"merge: the first bank's {field} is {mine}, the second's {theirs}; patterns of different "
                "spaces cannot stand in one memory: build the second with the first one's encoder"
            )
    if bank.width != other.width:
        raise MemoryBankError(f"merge: patterns of width {bank.width} and {other.width} cannot stand in one memory")
    ours, theirs_ = _unowned(bank), _unowned(other)
    if not torch.equal(bank.patterns[ours], other.patterns[theirs_]):
        raise MemoryBankError(
            f"merge: the banks hold different patterns without an owner ({len(ours)} and {len(theirs_)} disease "
            "queries), though they name one encoder: build one of them again"
        )
    _check_patients(bank, other)
    added = other.take(torch.tensor([row for row, studies in enumerate(other.study_ids) if studies], dtype=torch.int64))
    both = MemoryBank(
        patterns=torch.cat([bank.patterns, added.patterns]),
        study_ids=bank.study_ids + added.study_ids,
        subject_ids=bank.subject_ids + added.subject_ids,
        findings=torch.cat([bank.findings, added.findings]),
        boxes=torch.cat([bank.boxes, added.boxes]),
        views=torch.cat([bank.views, added.views]),
        texts=bank.texts + added.texts,
        scores=torch.cat([bank.scores, added.scores]),
        meta=dataclasses.replace(bank.meta, restricted=bank.meta.restricted or other.meta.restricted),
    )
    merged = merge_duplicates(both)
    what = f"merged with {other.fingerprint} of data {other.meta.data_fingerprint}: {len(bank)} + {len(added)} patterns"
    return _edited(merged, bank, f"{what}, {len(both) - len(merged)} doubled ones merged")


def withdraw(bank: MemoryBank, study_ids: Collection[str] = (), subject_ids: Collection[str] = ()) -> MemoryBank:
    """The bank without the given studies and patients: they are struck from every merged pattern, and a pattern with
    no owner left goes. Patterns that never had an owner (disease queries) stay. May come out empty.

    A region that others still own no longer tells its place where that was on a withdrawn film.
    """
    gone_studies, gone_subjects = set(study_ids), set(subject_ids)
    owners: dict[int, dict[str, str]] = {}
    lost_place = []
    struck = 0
    for row, (studies, subjects) in enumerate(zip(bank.study_ids, bank.subject_ids, strict=True)):
        left = {
            study: subject
            for study, subject in zip(studies, subjects, strict=True)
            if study not in gone_studies and subject not in gone_subjects
        }
        struck += len(studies) - len(left)
        if left or not studies:
            lost_place.append(bool(studies) and studies[0] not in left)
            owners[row] = left
    if struck == 0:
        return bank
    left_bank = _with_owners(bank, owners)
    placeless = torch.tensor(lost_place, dtype=torch.bool)
    boxes, views = left_bank.boxes.clone(), left_bank.views.clone()
    boxes[placeless], views[placeless] = torch.nan, -1
    what = f"{WITHDRAWN}: {len(bank) - len(left_bank)} of {len(bank)} patterns, {struck} owners struck"
    return _edited(dataclasses.replace(left_bank, boxes=boxes, views=views), bank, what)


def without_identities(bank: MemoryBank) -> MemoryBank:
    """The bank without ids and texts, as one of restricted data may be handed on: patterns, findings and boxes stay,
    but nothing says whose they are, so that no study's own are masked any more."""
    nobody = ((),) * len(bank)
    bare = dataclasses.replace(
        bank, study_ids=nobody, subject_ids=nobody, texts=("",) * len(bank), views=torch.full_like(bank.views, -1)
    )
    return _edited(bare, bank, "ids and texts left out")


def _unowned(bank: MemoryBank) -> Tensor:
    return torch.tensor([row for row, studies in enumerate(bank.study_ids) if not studies], dtype=torch.int64)


def _check_patients(bank: MemoryBank, other: MemoryBank) -> None:
    patients: dict[str, str] = {}
    for source in (bank, other):
        for studies, subjects in zip(source.study_ids, source.subject_ids, strict=True):
            for study, subject in zip(studies, subjects, strict=True):
                if patients.setdefault(study, subject) != subject:
                    raise MemoryBankError(
                        f"merge: study {study} belongs to patient {patients[study]} in one place and to {subject} in "
                        "another; two data sets that number their studies alike cannot stand in one memory"
                    )


def _edited(bank: MemoryBank, before: MemoryBank, what: str) -> MemoryBank:
    edits = (*before.meta.edits, BankEdit(before.fingerprint, what))
    return dataclasses.replace(bank, meta=dataclasses.replace(bank.meta, edits=edits))


def _with_owners(bank: MemoryBank, owners: Owners) -> MemoryBank:
    """The bank of the rows in ``owners``, each with its {study: patient}."""
    return dataclasses.replace(
        bank.take(torch.tensor(list(owners), dtype=torch.int64)),
        study_ids=tuple(tuple(mine) for mine in owners.values()),
        subject_ids=tuple(tuple(mine.values()) for mine in owners.values()),
    )
