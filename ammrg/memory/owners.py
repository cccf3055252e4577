"""Who owns a stored pattern, and so which patterns a study may recall."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

Exclude = Literal["study", "patient", "none"]

_SHARED = -1
"""Code of a pattern with several owners, or with none: nobody's alone."""
_UNKNOWN = -2
"""Code of a study or patient that owns no pattern alone."""


class OwnerIndex:
    """The sole owners of n patterns as integer codes, so that a batch's mask is one comparison.

    Args:
        study_ids: for each pattern, the studies that own it (none for a disease query).
        subject_ids: for each pattern, the patients of those studies, in the same order.
    """

    def __init__(self, study_ids: Iterable[Sequence[str]], subject_ids: Iterable[Sequence[str]]) -> None:
        self._studies, self._sole_study = _sole_owners(study_ids)
        self._subjects, self._sole_subject = _sole_owners(subject_ids)

    def mask(self, study_ids: Sequence[str], subject_ids: Sequence[str], exclude: Exclude) -> Tensor:
        """Which patterns each of b studies may recall, bool ``[b n]``, True = may be recalled.

        ``study`` masks a pattern for the study that owns it alone, ``patient`` also for every study of the patient who
        owns it alone, ``none`` masks nothing. A pattern merged from several owners stays for each of them: what two
        have in common gives neither away.
        """
        if len(study_ids) != len(subject_ids):
            raise ValueError(f"{len(study_ids)} study ids, but {len(subject_ids)} subject ids")
        if exclude not in ("study", "patient", "none"):
            raise ValueError(f"exclude must be 'study', 'patient' or 'none', not {exclude!r}")
        if exclude == "none":
            return torch.ones(len(study_ids), len(self._sole_study), dtype=torch.bool)
        allowed = self._sole_study != _codes(self._studies, study_ids)[:, None]
        if exclude == "patient":
            allowed &= self._sole_subject != _codes(self._subjects, subject_ids)[:, None]
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


def _codes(codes: Mapping[str, int], ids: Sequence[str]) -> Tensor:
    return torch.tensor([codes.get(name, _UNKNOWN) for name in ids], dtype=torch.int64)
