"""Owners of stored patterns, and the patterns that a study may therefore retrieve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

Exclude = Literal["study", "patient", "shared", "none"]

_SHARED = -1
"""Code of a pattern with several owners or none: nobody owns it alone."""
_UNKNOWN = -2
"""Code of a study or patient that owns no pattern alone."""


class OwnerIndex:
    """The owners of n patterns as integer codes, so that the mask of a batch is one comparison.

    Args:
        study_ids: for each pattern, the studies that own it (none for a disease query).
        subject_ids: for each pattern, the patients of those studies, in the same order.
    """

    def __init__(self, study_ids: Iterable[Sequence[str]], subject_ids: Iterable[Sequence[str]]) -> None:
        study_ids, subject_ids = list(study_ids), list(subject_ids)
        self._studies, self._sole_study = _sole_owners(study_ids)
        self._subjects, self._sole_subject = _sole_owners(subject_ids)
        self._rows_of_study, self._rows_of_subject = _shared_rows(study_ids), _shared_rows(subject_ids)

    def mask(self, study_ids: Sequence[str], subject_ids: Sequence[str], exclude: Exclude) -> Tensor:
        """Return the patterns that each of b studies may retrieve: bool ``[b n]``, True = may be retrieved.

        Args:
            study_ids: the b studies.
            subject_ids: their patients.
            exclude: which patterns are masked. ``study``: those that the study alone owns. ``patient``: also those that
                its patient alone owns. A pattern with several owners stays for each of them, because it would be in the
                memory without this patient too, as it is for a new patient with the same report. ``shared``: every
                pattern that the patient owns, alone or not. ``none``: no pattern.

        Raises:
            ValueError: the numbers of ids differ, or ``exclude`` is another word.
        """
        if len(study_ids) != len(subject_ids):
            raise ValueError(f"{len(study_ids)} study ids, but {len(subject_ids)} subject ids")
        if exclude not in get_args(Exclude):
            raise ValueError(f"exclude must be one of {', '.join(get_args(Exclude))}, not {exclude!r}")
        if exclude == "none":
            return torch.ones(len(study_ids), len(self._sole_study), dtype=torch.bool)
        allowed = self._sole_study != _codes(self._studies, study_ids)[:, None]
        if exclude != "study":
            allowed &= self._sole_subject != _codes(self._subjects, subject_ids)[:, None]
        if exclude == "shared":
            for row, (study, subject) in enumerate(zip(study_ids, subject_ids, strict=True)):
                allowed[row, self._rows_of_study.get(study, []) + self._rows_of_subject.get(subject, [])] = False
        return allowed


def _sole_owners(owners: Iterable[Sequence[str]]) -> tuple[dict[str, int], Tensor]:
    codes: dict[str, int] = {}
    sole = []
    for ids in owners:
        distinct = set(ids)
        # an empty id is an unknown owner: two empty ids are not the same owner
        single = distinct.pop() if len(distinct) == 1 else ""
        sole.append(codes.setdefault(single, len(codes)) if single else _SHARED)
    return codes, torch.tensor(sole, dtype=torch.int64)


def _shared_rows(owners: Iterable[Sequence[str]]) -> dict[str, list[int]]:
    """Map each owner to the patterns that it owns together with others."""
    rows: dict[str, list[int]] = {}
    for row, ids in enumerate(owners):
        distinct = set(ids)
        for name in (distinct - {""}) if len(distinct) > 1 else ():
            rows.setdefault(name, []).append(row)
    return rows


def _codes(codes: Mapping[str, int], ids: Sequence[str]) -> Tensor:
    return torch.tensor([codes.get(name, _UNKNOWN) for name in ids], dtype=torch.int64)
