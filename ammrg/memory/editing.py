"""Banks made from banks: with duplicates merged, new studies added, studies withdrawn, or ids and texts left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from ammrg.errors import MemoryBankError
from ammrg.memory.bank import BankEdit, MemoryBank

WITHDRAWN = "withdrawn"
"""First word of an edit that withdrew studies."""
Owners = Mapping[int, Mapping[str, str]]
"""Row of a bank -> its owners, {study: patient}."""


def merge_duplicates(bank: MemoryBank) -> MemoryBank:
    """Merge equal patterns: the first one stays and gets the owners of all (each study once).

    Reports are equal where their texts are; regions, and reports whose texts were left out, where finding and all
    numbers are. Patterns without an owner (disease queries) are never merged.
    """
    first: dict[tuple[object, ...], int] = {}
    owners: dict[int, dict[str, str]] = {}
    rows = bank.patterns.numpy()
    for row, (studies, subjects) in enumerate(zip(bank.study_ids, bank.subject_ids, strict=True)):
        text = bank.texts[row] if bank.meta.kind == "reports" else ""  # regions may share their sentences
        content: object = text or rows[row].tobytes()
        key = (bool(text), content, int(bank.findings[row])) if studies else (row,)
        kept = first.setdefault(key, row)
        mine = owners.setdefault(kept, {})
        for study, subject in zip(studies, subjects, strict=True):
            mine.setdefault(study, subject)
    return _with_owners(bank, owners)


def extend(bank: MemoryBank, other: MemoryBank) -> MemoryBank:
    """Append another bank's patterns, and merge equal ones.

    The patterns without an owner (disease queries) must be the same in both, and are kept once. The result has the
    data, seed and selection of ``bank``; it is restricted where one of the two is.

    Raises:
        MemoryBankError: the banks differ in kind, encoder, width or disease queries, or a study has another patient in
            each.
    """
    for field in ("kind", "encoder_fingerprint"):
        mine, theirs = getattr(bank.meta, field), getattr(other.meta, field)
        if mine != theirs:
            raise MemoryBankError(
                f"merge: the first bank's {field} is {mine}, the second's {theirs}; patterns of different "
                "spaces cannot be in one memory: build the second with the first one's encoder"
            )
    if bank.width != other.width:
        raise MemoryBankError(
            f"merge: patterns of width {bank.width} and {other.width} cannot be in one memory: build the second with "
            "the first one's encoder"
        )
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
        places=torch.cat([bank.places, added.places]),
        meta=dataclasses.replace(bank.meta, restricted=bank.meta.restricted or other.meta.restricted),
    )
    merged = merge_duplicates(both)
    what = f"merged with {other.fingerprint} of data {other.meta.data_fingerprint}: {len(bank)} + {len(added)} patterns"
    return _edited(merged, bank, f"{what}, {len(both) - len(merged)} doubled ones merged")


def withdraw(bank: MemoryBank, study_ids: Collection[str] = (), subject_ids: Collection[str] = ()) -> MemoryBank:
    """Remove the given studies and patients from a bank.

    They are removed from the owners of every pattern; a pattern without any owner left is removed. Patterns that never
    had an owner (disease queries) stay. A region with other owners left loses box, view, place and sentences where they
    were of a withdrawn study.

    Args:
        bank: not changed.
        study_ids: studies to remove.
        subject_ids: patients to remove, with all their studies.

    Returns:
        The new bank, perhaps empty; the same bank where nothing was removed.
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
    places, texts = left_bank.places.clone(), left_bank.texts
    if bank.meta.kind == "regions":
        places[placeless] = False
        texts = tuple("" if lost else text for lost, text in zip(lost_place, texts, strict=True))
    what = f"{WITHDRAWN}: {len(bank) - len(left_bank)} of {len(bank)} patterns, {struck} owners struck"
    return _edited(dataclasses.replace(left_bank, boxes=boxes, views=views, places=places, texts=texts), bank, what)


def without_identities(bank: MemoryBank) -> MemoryBank:
    """Remove ids and texts from a bank, so that it may be shared although its data are restricted.

    Patterns, findings, boxes and places stay. Since no owners are left, a study's own patterns can no longer be masked.
    """
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
                        "another; two data sets with the same study ids cannot be in one memory"
                    )


def _edited(bank: MemoryBank, before: MemoryBank, what: str) -> MemoryBank:
    edits = (*before.meta.edits, BankEdit(before.fingerprint, what))
    return dataclasses.replace(bank, meta=dataclasses.replace(bank.meta, edits=edits))


def _with_owners(bank: MemoryBank, owners: Owners) -> MemoryBank:
    """Return a bank of the rows in ``owners``, each with these owners."""
    return dataclasses.replace(
        bank.take(torch.tensor(list(owners), dtype=torch.int64)),
        study_ids=tuple(tuple(mine) for mine in owners.values()),
        subject_ids=tuple(tuple(mine.values()) for mine in owners.values()),
    )
