"""Does a positive finding's query recall regions of that finding? Counted beside chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ammrg.findings import NO_FINDING, NUM_FINDINGS, POSITIVE


class AssociationCounts(NamedTuple):
    """Sums over the positive findings of studies; add those of batches together."""

    asked: Tensor
    """``[14]``: queries of positive findings that may recall any region."""
    top: Tensor
    """``[14]``: of those, how many have a region of their own finding as their strongest association."""
    top_k: Tensor
    """``[14]``: sum of the shares of the k strongest regions that are of their own finding."""
    weight: Tensor
    """``[14]``: sum of the shares of the weight on regions that lies on those of their own finding."""
    chance: Tensor
    """``[14]``: sum of the shares of the regions they may recall that are of their own finding."""
    on_regions: Tensor
    """``[14]``: sum of the weight on regions at all; the rest lies on disease queries."""


class AssociationScores(NamedTuple):
    """Means, each in [0, 1]."""

    top: float
    top_k: float
    weight: float
    chance: float
    on_regions: float
    queries: int
    """How many they are means of."""


def count_associations(
    associations: Tensor, labels: Tensor, region_findings: Tensor, allowed: Tensor | None = None, k: int = 5
) -> AssociationCounts:
    """What the queries of positive findings retrieve.

    "No Finding" is asked only where regions of it are stored, which is off by default; a finding that no region was
    mined for is asked, and fails.

    Args:
        associations: ``[b 14 n]``, averaged over heads, 0 where a pattern may not be recalled.
        labels: ``[b 14]``: 1 positive; anything else is not asked.
        region_findings: int ``[n]``: the finding of each region, -1 for patterns that are no region (disease queries).
        allowed: bool ``[b n]``, True where a study may recall a pattern; None: all may.
        k: how many of the strongest regions are looked at; fewer where fewer may be recalled.
    """
    positive = labels == POSITIVE
    positive[:, NO_FINDING] &= (region_findings == NO_FINDING).any()
    study, finding = positive.nonzero().unbind(dim=1)  # m positives
    region = (region_findings >= 0).expand(len(study), -1)
    if allowed is not None:
        region = region & allowed[study]
    known = region.any(dim=1)
    study, finding, region = study[known], finding[known], region[known]
    own = region & (region_findings == finding[:, None])
    found = associations[study, finding]
    on_regions = (found * region).sum(dim=1)
    k = min(k, found.shape[1])
    strongest = found.masked_fill(~region, -1.0).topk(k, dim=1).indices
    is_region = region.gather(1, strongest)
    is_own = own.gather(1, strongest)
    values = {
        "asked": torch.ones(len(study)),
        "top": is_own[:, 0],
        "top_k": is_own.sum(dim=1) / is_region.sum(dim=1).clamp(min=1),
        "weight": (found * own).sum(dim=1) / on_regions.clamp(min=torch.finfo(torch.float32).tiny),
        "chance": own.sum(dim=1) / region.sum(dim=1).clamp(min=1),
        "on_regions": on_regions,
    }
    sums = {
        name: torch.zeros(NUM_FINDINGS, dtype=torch.float64).index_add(0, finding.cpu(), value.double().cpu())
        for name, value in values.items()
    }
    return AssociationCounts(**sums)


def added(counts: Sequence[AssociationCounts]) -> AssociationCounts:
    """The counts of several batches as one's."""
    return AssociationCounts(*(torch.stack(parts).sum(dim=0) for parts in zip(*counts, strict=True)))


def association_scores(counts: AssociationCounts) -> tuple[AssociationScores, dict[int, AssociationScores]]:
    """(means over all queries asked, the same for each finding that has any)."""
    each = {
        finding: _means(AssociationCounts(*(part[finding] for part in counts)))
        for finding in counts.asked.nonzero().flatten().tolist()
    }
    return _means(AssociationCounts(*(part.sum() for part in counts))), each


def _means(sums: AssociationCounts) -> AssociationScores:
    asked = float(sums.asked)
    parts = {
        name: float(getattr(sums, name)) / asked if asked else float("nan") for name in AssociationScores._fields[:-1]
    }
    return AssociationScores(**parts, queries=int(asked))
