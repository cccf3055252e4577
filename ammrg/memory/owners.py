"""Who owns a stored pattern, and so which patterns a study may recall."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

Exclude = Literal["study", "patient", "shared", "none"]

_SHARED = -1
"""Code of a pattern with several owners, or with none: nobody's alone."""
_UNKNOWN = -2
"""Code of a study or patient that owns no pattern alone."""


class OwnerIndex:
    """The owners of n patterns as integer codes, so that a batch's mask is one comparison.

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
        """Which patterns each of b studies may recall, bool ``[b n]``, True = may be recalled.

        ``study`` masks a pattern for the study that owns it alone, ``patient`` also for every study of the patient who
        owns it alone. A pattern that others own too stays for each of them: it would be in the memory without this
        patient as well, as it is for a new patient with the same report. ``shared`` masks it for every patient among
        its owners, ``none`` masks nothing.
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
        # an empty id is an unknown owner, not one that all unknown studies share
        single = distinct.pop() if len(distinct) == 1 else ""
        sole.append(codes.setdefault(single, len(codes)) if single else _SHARED)
    return codes, torch.tensor(sole, dtype=torch.int64)


def _shared_rows(owners: Iterable[Sequence[str]]) -> dict[str, list[int]]:
    """Owner -> the patterns that it owns with others."""
    rows: dict[str, list[int]] = {}
    for row, ids in enumerate(owners):
        distinct = set(ids)
        for name in (distinct - {""}) if len(distinct) > 1 else ():
            rows.setdefault(name, []).append(row)
    return rows


def _codes(codes: Mapping[str, int], ids: Sequence[str]) -> Tensor:
    return torch.tensor([codes.get(name, _UNKNOWN) for name in ids], dtype=torch.int64)
