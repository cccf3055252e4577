"""What lies near what in a memory: nearest patterns of other patients, and the patterns on a plane."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.memory.bank import MemoryBank, owners_mask

ROWS_AT_ONCE = 1024
"""Patterns compared with all others at once."""


class Neighbours(NamedTuple):
    """The nearest patterns of m patterns, nearest first."""

    indices: Tensor
    """int64 ``[m k]``."""
    similarities: Tensor
    """``[m k]`` in [-1, 1]; -inf where fewer than k patterns are of other patients."""


class Agreement(NamedTuple):
    """How often the nearest pattern of another patient is of the same finding."""

    found: float
    """Share in [0, 1]; NaN where there is no pattern of another patient."""
    chance: float
    """The same for a pattern of another patient drawn at random."""
    patterns: int
    """How many were asked."""


def nearest(bank: MemoryBank, rows: Tensor, k: int) -> Neighbours:
    """The k nearest patterns of other patients, for each of the rows ``[m]``.

    Near = cosine of the affine-free layer-norms, what a retrieval sees before its projections. Disease queries are
    neighbours of none; a pattern of several owners is another's to each of them, and has no neighbour of any of them.
    """
    points, k = _directions(bank), min(k, len(bank))
    found = [
        (points[part] @ points.T).masked_fill(~_others(bank, part), -torch.inf).topk(k, dim=1)
        for part in torch.split(rows, ROWS_AT_ONCE)
    ]
    return Neighbours(torch.cat([part.indices for part in found]), torch.cat([part.values for part in found]))


def agreement(bank: MemoryBank, groups: Tensor) -> dict[int, Agreement]:
    """For each group (finding) that the bank's patterns ``[n]`` belong to: does like lie near like? Patterns of groups
    < 0, without an owner, or of the only patient are left out."""
    points = _directions(bank)
    rows = (bank.is_owned & (groups >= 0)).nonzero().flatten()
    hits, chances, asked = [torch.empty(0)], [torch.empty(0)], [torch.empty(0, dtype=torch.bool)]
    for part in torch.split(rows, ROWS_AT_ONCE):
        others = _others(bank, part) & (groups >= 0)
        near = (points[part] @ points.T).masked_fill(~others, -torch.inf).argmax(dim=1)
        same = groups[part][:, None] == groups
        hits.append(same.gather(1, near[:, None])[:, 0].float())
        chances.append((same & others).sum(dim=1) / others.sum(dim=1).clamp(min=1))
        asked.append(others.any(dim=1))
    hit, chance, known = torch.cat(hits), torch.cat(chances), torch.cat(asked)
    result = {}
    for group in sorted(set(groups[rows].tolist())):
        mine = (groups[rows] == group) & known
        result[group] = Agreement(float(hit[mine].mean()), float(chance[mine].mean()), int(mine.sum()))
    return result


def plane(patterns: Tensor) -> tuple[Tensor, Tensor]:
    """Patterns ``[n d]`` on the plane of their two principal components (of the affine-free layer-norms).

    Returns:
        (float32 points ``[n 2]``, the share of the variance that each axis holds ``[2]``). The sign of an axis is such
        that its largest loading is positive, so that equal banks give equal pictures.
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
    """Which patterns are of none of the rows' own patients (own studies, where a patient is unknown) alone, bool
    ``[m n]``."""
    others = bank.is_owned.repeat(len(rows), 1)
    for place, row in enumerate(rows.tolist()):
        others[place] &= owners_mask(bank, bank.study_ids[row], bank.subject_ids[row], "patient").all(dim=0)
        others[place, row] = False  # a shared pattern is nobody's alone, and so not masked
    return others
