"""Which of many candidates a memory keeps: seeded, by finding."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.findings import NUM_FINDINGS, POSITIVE

Method = Literal["coreset", "random", "proportional"]
ReportMethod = Literal["balanced", "proportional"]


def select(
    features: Tensor, findings: Tensor, *, per_finding: int, method: Method = "coreset", seed: int = 0
) -> Tensor:
    """Chooses patterns for a region memory.

    * ``coreset``: up to ``per_finding`` of each finding by greedy k-centre, so that rare appearances survive;
    * ``random``: up to ``per_finding`` of each finding at random (the published way);
    * ``proportional``: ``per_finding`` times the number of findings present, shared out in proportion to how many
      candidates each has, at random within a finding.

    Args:
        features: ``[n d]``; distances are taken after the affine-free layer-norm that retrieval sees.
        findings: int ``[n]``, the finding of each candidate.
        per_finding: at least 1.
        method: see above.
        seed: equal seeds and candidates give equal choices, whatever the other findings hold.

    Returns:
        int64 ``[m]``: rows chosen, ascending.

    Raises:
        ValueError: sizes that do not fit or an unknown method.
    """
    if features.dim() != 2 or findings.shape != features.shape[:1]:
        raise ValueError(f"features must be [n d] and findings [n], not {list(features.shape)}, {list(findings.shape)}")
    if per_finding < 1:
        raise ValueError(f"per_finding must be at least 1, not {per_finding}")
    groups = {int(finding): (findings == finding).nonzero().flatten() for finding in sorted(set(findings.tolist()))}
    sizes = [len(rows) for rows in groups.values()]
    if method == "proportional":
        quotas = _shares(sizes, per_finding * len(groups))
    elif method in ("coreset", "random"):
        quotas = [min(size, per_finding) for size in sizes]
    else:
        raise ValueError(f"method must be 'coreset', 'random' or 'proportional', not {method!r}")
    chosen = [torch.empty(0, dtype=torch.int64)]
    for (finding, rows), quota in zip(groups.items(), quotas, strict=True):
        generator = torch.Generator().manual_seed(seed * 1009 + finding)  # one finding's draw is not another's
        if method == "coreset":
            chosen.append(rows[k_centres(features[rows], quota, generator)])
        else:
            chosen.append(rows[torch.randperm(len(rows), generator=generator)[:quota]])
    return torch.cat(chosen).sort().values


def k_centres(features: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Greedy k-centre (farthest-first traversal; Gonzalez 1985: covers within twice the best possible radius).

    Args:
        features: ``[n d]``.
        count: how many centres, at most n; fewer come back only where all the others are duplicates of centres.
        generator: draws the first centre.

    Returns:
        int64 ``[count]``: rows in the order they were taken.
    """
    points = F.layer_norm(features.float(), features.shape[1:])
    n = len(points)
    if count <= 0 or n == 0:
        return torch.empty(0, dtype=torch.int64)
    # |p - c|^2 = |p|^2 + |c|^2 - 2 p.c reads the points once a centre and writes no difference; what rounding leaves
    # of the distance between equal points counts as nothing.
    norms = points.square().sum(dim=1)
    nothing = 1e-5 * float(norms.max())
    centre = int(torch.randint(n, (1,), generator=generator))
    distance = torch.full((n,), torch.inf)
    chosen = []
    for _ in range(min(count, n)):
        chosen.append(centre)
        distance = torch.minimum(distance, norms + norms[centre] - 2 * (points @ points[centre]))
        distance[centre] = -1.0
        centre = int(distance.argmax())
        if distance[centre] <= nothing:
            break
    return torch.tensor(chosen, dtype=torch.int64)


def select_reports(labels: Tensor, *, total: int, method: ReportMethod = "balanced", seed: int = 0) -> Tensor:
    """Chooses studies for a report memory; each is chosen once, however many findings it has.

    * ``balanced``: always the finding that the choice so far shows least often gets its next study;
    * ``proportional``: findings get their turns in proportion to how often they are positive (the published way,
      which stored a report once for each positive finding).

    Studies without a positive finding form a class of their own. Findings whose studies are used up pass their turns
    on, so that ``min(total, n)`` studies are chosen.

    Args:
        labels: ``[n 14]``: 1 positive, 0 negative, -1 uncertain, NaN blank.
        total: at least 1.
        method: see above.
        seed: equal seeds give equal choices.

    Returns:
        int64 ``[min(total, n)]``: rows chosen, ascending.
    """
    if labels.dim() != 2 or labels.shape[1] != NUM_FINDINGS:
        raise ValueError(f"labels must be [n {NUM_FINDINGS}], not {list(labels.shape)}")
    if total < 1:
        raise ValueError(f"total must be at least 1, not {total}")
    if method not in ("balanced", "proportional"):
        raise ValueError(f"method must be 'balanced' or 'proportional', not {method!r}")
    if total >= len(labels):
        return torch.arange(len(labels))
    positive = labels == POSITIVE
    positive = torch.cat([positive, ~positive.any(dim=1, keepdim=True)], dim=1)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    waiting = [order[positive[order, group]].tolist()[::-1] for group in range(positive.shape[1])]
    weight = positive.sum(dim=0).double() if method == "proportional" else torch.ones(len(waiting)).double()
    shown = torch.zeros(len(waiting)).double()
    taken: set[int] = set()
    while len(taken) < total:
        need = torch.tensor([float(shown[g] / weight[g]) if waiting[g] else torch.inf for g in range(len(waiting))])
        group = int(need.argmin())
        study = waiting[group].pop()
        if study not in taken:
            taken.add(study)
            shown += positive[study]
    return torch.tensor(sorted(taken), dtype=torch.int64)


def _shares(sizes: list[int], total: int) -> list[int]:
    """Shares a total out in proportion to sizes (largest remainder), never more than a size."""
    everything = sum(sizes)
    if total >= everything:
        return list(sizes)
    exact = [size * total / everything for size in sizes]
    shares = [int(value) for value in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda i: (shares[i] - exact[i], i))
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares
