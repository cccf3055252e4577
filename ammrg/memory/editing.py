"""Banks from banks: duplicates merged, studies withdrawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import torch

from ammrg.memory.bank import MemoryBank


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


def withdraw(bank: MemoryBank, study_ids: Collection[str] = (), subject_ids: Collection[str] = ()) -> MemoryBank:
    """The bank without the given studies and patients: they are struck from every merged pattern, and a pattern with
    no owner left goes. Patterns that never had an owner (disease queries) stay. May come out empty."""
    gone_studies, gone_subjects = set(study_ids), set(subject_ids)
    owners: dict[int, dict[str, str]] = {}
    for row, (studies, subjects) in enumerate(zip(bank.study_ids, bank.subject_ids, strict=True)):
        left = {
            study: subject
            for study, subject in zip(studies, subjects, strict=True)
            if study not in gone_studies and subject not in gone_subjects
        }
        if left or not studies:
            owners[row] = left
    return _with_owners(bank, owners)


def _with_owners(bank: MemoryBank, owners: dict[int, dict[str, str]]) -> MemoryBank:
    """The bank of the rows in ``owners``, each with its {study: patient}."""
    return dataclasses.replace(
        bank.take(torch.tensor(list(owners), dtype=torch.int64)),
        study_ids=tuple(tuple(mine) for mine in owners.values()),
        subject_ids=tuple(tuple(mine.values()) for mine in owners.values()),
    )
