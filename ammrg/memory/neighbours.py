"""Neighbours in a memory: the nearest patterns of other patients, and a projection of the patterns to a plane."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.memory.bank import MemoryBank, owners_mask

ROWS_AT_ONCE = 1024
"""Patterns that are compared with all others at once."""


class Neighbours(NamedTuple):
    """The nearest patterns of m patterns, nearest first."""

    indices: Tensor
    """int64 ``[m k]``."""
    similarities: Tensor
    """``[m k]`` in [-1, 1]; -inf where fewer than k patterns are of other patients."""


class Agreement(NamedTuple):
    """How often the nearest pattern of another patient has the same finding."""

    found: float
    """Share in [0, 1]; NaN where there is no pattern of another patient."""
    chance: float
    """The same share for a random pattern of another patient."""
    patterns: int
    """Number of patterns that have a pattern of another patient to compare with."""


def nearest(bank: MemoryBank, rows: Tensor, k: int) -> Neighbours:
    """Find the k nearest patterns of other patients for each of the rows ``[m]``.

    Nearness is the cosine of affine-free layer-norms, which a retrieval sees before its projections. Disease queries
    are no neighbours. A pattern that several patients own may be a neighbour of a pattern of each of them; itself, it
    has no neighbour that one of them alone owns.
    """
    points, k = _directions(bank), min(k, len(bank))
    found = [
        (points[part] @ points.T).masked_fill(~_others(bank, part), -torch.inf).topk(k, dim=1)
        for part in torch.split(rows, ROWS_AT_ONCE)
    ]
    return Neighbours(torch.cat([part.indices for part in found]), torch.cat([part.values for part in found]))


def agreement(bank: MemoryBank, groups: Tensor) -> dict[int, Agreement]:
    """Measure how often a pattern and its nearest neighbour of another patient belong to the same group.

    Args:
        bank: n patterns.
        groups: int ``[n]``: the group (finding) of each pattern; patterns with a group < 0 or no owner are left out.

    Returns:
        Group -> its agreement, over the patterns that have a pattern of another patient to compare with.
    """
    points = _directions(bank)
    rows = (bank.is_owned & (groups >= 0)).nonzero().flatten()
    hits, chances, compared = [torch.empty(0)], [torch.empty(0)], [torch.empty(0, dtype=torch.bool)]
    for part in torch.split(rows, ROWS_AT_ONCE):
        others = _others(bank, part) & (groups >= 0)
        near = (points[part] @ points.T).masked_fill(~others, -torch.inf).argmax(dim=1)
        same = groups[part][:, None] == groups
        hits.append(same.gather(1, near[:, None])[:, 0].float())
        chances.append((same & others).sum(dim=1) / others.sum(dim=1).clamp(min=1))
        compared.append(others.any(dim=1))
    hit, chance, known = torch.cat(hits), torch.cat(chances), torch.cat(compared)
    result = {}
    for group in sorted(set(groups[rows].tolist())):
        mine = (groups[rows] == group) & known
        result[group] = Agreement(float(hit[mine].mean()), float(chance[mine].mean()), int(mine.sum()))
    return result


def plane(patterns: Tensor) -> tuple[Tensor, Tensor]:
    """Project patterns ``[n d]`` to the plane of their two principal components (of the affine-free layer-norms).

    Returns:
        (points float32 ``[n 2]``, share of the variance along each axis ``[2]``). The largest loading of an axis is
        positive, so that equal banks give equal pictures.
    """
    points = F.layer_norm(patterns.double(), patterns.shape[1:])
    points = points - points.mean(dim=0)
    values, vectors = torch.linalg.eigh(points.T @ points)
    axes = vectors[:, -2:].flip(1)  # [d 2], largest first
    largest = axes.abs().argmax(dim=0)
    axes = axes * axes[largest, torch.arange(axes.shape[1])].sign()
    shares = values[-2:].flip(0) / values.sum().clamp(min=torch.finfo(torch.float64).tiny)
    return (points @ axes).float(), shares.float()


def _directions(bank: MemoryBank) -> Tensor:
    return F.normalize(F.layer_norm(bank.patterns, (bank.width,)), dim=1)


def _others(bank: MemoryBank, rows: Tensor) -> Tensor:
    """Find the patterns that count as other patients' for each row, bool ``[m n]``.

    These are the owned patterns, except the row itself and those that one of its patients (or studies, where the
    patient is unknown) alone owns.
    """
    others = bank.is_owned.repeat(len(rows), 1)
    for place, row in enumerate(rows.tolist()):
        others[place] &= owners_mask(bank, bank.study_ids[row], bank.subject_ids[row], "patient").all(dim=0)
        others[place, row] = False  # the mask leaves a shared pattern in, because nobody owns it alone
    return others
