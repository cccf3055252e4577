"""Which stored patterns a study should recall: regions of the same finding in the same place, and reports alike.

Two reports are alike if they affirm mostly the same abnormal findings on the same sides. They are compared as sets of
(finding, side) with the Jaccard index; a finding without a side counts as one more element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ammrg.findings import ABNORMAL, FINDINGS, POSITIVE
from ammrg.networks.places import ASPECTS, place_targets
from ammrg.text.place_words import SIDES
from ammrg.text.places import finding_places
from ammrg.types import StudyBatch

ALIKE = 0.5
"""Least Jaccard index of two reports that are alike."""


class RecallTargets(NamedTuple):
    """All that decides what b studies should recall."""

    study_ids: list[str]
    subject_ids: list[str]
    positive: Tensor
    """bool ``[b 14]``: the findings that are labelled positive."""
    places: Tensor
    """float32 ``[b 14 5]``: 1 for each side and level that the report names for a finding."""
    sides: Tensor
    """float32 ``[b 39]``: see :func:`finding_sides`."""


def recall_targets(batch: StudyBatch) -> RecallTargets:
    """Read from the labels and reports of b studies what they should recall; uncertain findings are left out."""
    return RecallTargets(
        batch.study_ids,
        batch.subject_ids,
        batch.labels == POSITIVE,
        place_targets(batch.reports).elements,
        finding_sides(batch.reports),
    )


def finding_sides(reports: Sequence[str]) -> Tensor:
    """Read the abnormal findings of b reports with their sides.

    Returns:
        float32 ``[b 39]``: for each of the 13 abnormal findings left, right, and affirmed without a side.
    """
    rows = []
    for report in reports:
        found = finding_places(report)
        row: list[bool] = []
        for name in (FINDINGS[i] for i in ABNORMAL):
            sides = found[name].side if name in found else frozenset()
            row += [*(side in sides for side in SIDES), name in found and not sides]
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float32)


def are_alike(reports: Tensor, stored: Tensor) -> Tensor:
    """Compare b reports with n stored ones, as read by :func:`finding_sides`.

    Returns:
        bool ``[b n]``: whether the Jaccard index is at least :data:`ALIKE`. Two reports without findings are alike.
    """
    common = reports @ stored.T
    either = reports.sum(1)[:, None] + stored.sum(1) - common
    return common >= ALIKE * either


def in_same_place(places: Tensor, stored: Tensor) -> Tensor:
    """Tell which stored regions lie where a report puts a finding.

    A region lies there if it shares a side and a level with the report's place. An aspect that either does not know is
    not compared.

    Args:
        places: ``[m 5]``, 1 for each element that a report names.
        stored: ``[n 5]``, of the regions.

    Returns:
        bool ``[m n]``.
    """
    fits = torch.ones(len(places), len(stored), dtype=torch.bool, device=places.device)
    for part in ASPECTS.values():
        ours, theirs = places[:, part].float(), stored[:, part].float()
        unknown = (ours.sum(1) == 0)[:, None] | (theirs.sum(1) == 0)
        fits &= unknown | (ours @ theirs.T > 0)
    return fits
