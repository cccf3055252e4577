"""Whether the query of a positive finding retrieves regions of that finding, compared with chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ammrg.findings import NO_FINDING, NUM_FINDINGS, POSITIVE


class AssociationCounts(NamedTuple):
    """Sums over the queries of positive findings, float64 ``[14]`` each; the counts of batches can be added.

    A query's own regions are those of its finding.
    """

    queries: Tensor
    """Number of queries of positive findings that may retrieve a region."""
    top: Tensor
    """Number of these queries whose strongest association is an own region."""
    top_k: Tensor
    """Sum over queries: share of own regions among the k strongest regions."""
    weight: Tensor
    """Sum over queries: share of the weight on regions that falls on own regions."""
    chance: Tensor
    """Sum over queries: share of own regions among all regions that the query may retrieve."""
    on_regions: Tensor
    """Sum over queries: weight on all regions; the remaining weight is on disease queries."""


class AssociationScores(NamedTuple):
    """Means over queries, each in [0, 1]; NaN without a query. For the fields see :class:`AssociationCounts`."""

    top: float
    top_k: float
    weight: float
    chance: float
    on_regions: float
    queries: int
    """Number of queries."""


def count_associations(
    associations: Tensor, labels: Tensor, region_findings: Tensor, allowed: Tensor | None = None, k: int = 5
) -> AssociationCounts:
    """Count what the queries of positive findings retrieve.

    "No Finding" counts only if regions of it are stored, which is off by default. A finding without any mined region
    counts too, as a failure.

    Args:
        associations: ``[b 14 n]``, averaged over heads, 0 where a pattern may not be retrieved.
        labels: ``[b 14]``: 1 positive; queries with any other value are not counted.
        region_findings: int ``[n]``: the finding of each region, -1 for other patterns (disease queries).
        allowed: bool ``[b n]``, True where a study may retrieve a pattern; None: everywhere.
        k: how many of the strongest regions are compared; fewer if fewer may be retrieved.
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
        "queries": torch.ones(len(study)),
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
    """The sum of the counts of several batches."""
    return AssociationCounts(*(torch.stack(parts).sum(dim=0) for parts in zip(*counts, strict=True)))


def association_scores(counts: AssociationCounts) -> tuple[AssociationScores, dict[int, AssociationScores]]:
    """(means over all queries, finding -> means over its queries; findings without a query are left out)."""
    each = {
        finding: _means(AssociationCounts(*(part[finding] for part in counts)))
        for finding in counts.queries.nonzero().flatten().tolist()
    }
    return _means(AssociationCounts(*(part.sum() for part in counts))), each


def _means(sums: AssociationCounts) -> AssociationScores:
    queries = float(sums.queries)
    parts = {
        name: float(getattr(sums, name)) / queries if queries else float("nan")
        for name in AssociationScores._fields[:-1]
    }
    return AssociationScores(**parts, queries=int(queries))
