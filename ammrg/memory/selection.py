"""Selection of the candidates that a memory keeps, by finding and with a seed."""

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
    """Choose patterns for a region memory.

    * ``coreset``: up to ``per_finding`` of each finding by greedy k-centre, so that rare appearances are kept;
    * ``random``: up to ``per_finding`` of each finding at random (as published);
    * ``proportional``: ``per_finding`` times the number of findings in total, divided among the findings in proportion
      to their candidates, at random within a finding.

    Args:
        features: ``[n d]``; distances are measured after the affine-free layer-norm, as retrieval sees them.
        findings: int ``[n]``, the finding of each candidate.
        per_finding: at least 1.
        method: see above.
        seed: with the same seed, the choice for a finding depends on its own candidates only (and, for
            ``proportional``, on how many each finding has).

    Returns:
        int64 ``[m]``: rows chosen, ascending.

    Raises:
        ValueError: sizes do not fit, or the method is unknown.
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
        generator = torch.Generator().manual_seed(seed * 1009 + finding)  # each finding has draws of its own
        if method == "coreset":
            chosen.append(rows[k_centres(features[rows], quota, generator)])
        else:
            chosen.append(rows[torch.randperm(len(rows), generator=generator)[:quota]])
    return torch.cat(chosen).sort().values


def k_centres(features: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Choose centres by greedy k-centre: always the point farthest from the centres so far.

    The points are covered within twice the best possible radius (Gonzalez 1985).

    Args:
        features: ``[n d]``.
        count: number of centres, at most n. Fewer are returned only where all other points equal a centre.
        generator: draws the first centre.

    Returns:
        int64 ``[count]``: rows in the order they were chosen.
    """
    points = F.layer_norm(features.float(), features.shape[1:])
    n = len(points)
    if count <= 0 or n == 0:
        return torch.empty(0, dtype=torch.int64)
    # |p - c|^2 = |p|^2 + |c|^2 - 2 p.c reads the points once per centre and stores no differences. Rounding leaves a
    # small distance between equal points: up to `nothing` it counts as zero.
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
    """Choose studies for a report memory; each is chosen at most once, however many findings it has.

    * ``balanced``: the next study always comes from the finding that is least frequent among those chosen so far;
    * ``proportional``: findings get their turns in proportion to how often they are positive (as published, except that
      the publication stores a report once for each of its positive findings).

    Studies without a positive finding form a class of their own. A finding with no studies left is passed over, so that
    ``min(total, n)`` studies are chosen.

    Args:
        labels: ``[n 14]``: 1 positive, 0 negative, -1 uncertain, NaN blank.
        total: at least 1.
        method: see above.
        seed: equal seeds give equal choices.

    Returns:
        int64 ``[min(total, n)]``: rows chosen, ascending.

    Raises:
        ValueError: the shape of the labels does not fit, ``total`` is out of range, or the method is unknown.
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
    """Divide a total in proportion to sizes (largest remainder); no share exceeds its size."""
    everything = sum(sizes)
    if total >= everything:
        return list(sizes)
    exact = [size * total / everything for size in sizes]
    shares = [int(value) for value in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda i: (shares[i] - exact[i], i))
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares
