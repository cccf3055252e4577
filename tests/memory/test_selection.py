from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ammrg.findings import NUM_FINDINGS
from ammrg.memory.selection import Method, k_centres, select, select_reports


def candidates(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    findings = torch.tensor([0] * 60 + [3] * 30 + [7] * 4 + [12] * 6)
    return torch.randn(100, 8, generator=generator), findings[torch.randperm(100, generator=generator)]


@pytest.mark.parametrize("method", ["coreset", "random"])
def test_up_to_per_finding_of_each(method: Method) -> None:
    features, findings = candidates()
    rows = select(features, findings, per_finding=10, method=method)
    assert [(findings[rows] == f).sum().item() for f in (0, 3, 7, 12)] == [10, 10, 4, 6]
    assert rows.tolist() == sorted(set(rows.tolist()))


def test_one_of_each_finding() -> None:
    features, findings = candidates()
    assert findings[select(features, findings, per_finding=1)].sort().values.tolist() == [0, 3, 7, 12]
    assert len(k_centres(features, 0, torch.Generator())) == 0


def test_proportional_follows_the_candidates() -> None:
    features, findings = candidates()
    rows = select(features, findings, per_finding=5, method="proportional")
    assert [(findings[rows] == f).sum().item() for f in (0, 3, 7, 12)] == [12, 6, 1, 1]
    assert len(select(features, findings, per_finding=50, method="proportional")) == 100


@pytest.mark.parametrize("method", ["coreset", "random", "proportional"])
def test_seeded(method: Method) -> None:
    features, findings = candidates()

    def chosen(seed: int) -> list[int]:
        return cast(list[int], select(features, findings, per_finding=8, method=method, seed=seed).tolist())

    assert chosen(1) == chosen(1)
    assert len({tuple(chosen(seed)) for seed in range(5)}) > 1


def test_one_findings_choice_does_not_depend_on_the_others() -> None:
    features, findings = candidates()
    rows = select(features, findings, per_finding=8)
    alone = (findings == 3).nonzero().flatten()
    assert alone[select(features[alone], findings[alone], per_finding=8)].tolist() == rows[findings[rows] == 3].tolist()


def test_farthest_first_equals_the_plain_definition() -> None:
    features = torch.randn(40, 6, generator=torch.Generator().manual_seed(5))
    ours = k_centres(features, 12, torch.Generator().manual_seed(9)).tolist()
    points = F.layer_norm(features, (6,)).double().numpy()
    expected = [ours[0]]
    while len(expected) < 12:
        to_nearest = [min(np.linalg.norm(point - points[c]) for c in expected) for point in points]
        expected.append(int(np.argmax(to_nearest)))
    assert ours == expected


def test_the_rare_appearance_survives_and_duplicates_do_not() -> None:
    generator = torch.Generator().manual_seed(0)
    common = torch.tensor([5.0, 0, 0, 0, 0, 0]) + 0.01 * torch.randn(200, 6, generator=generator)
    rare = torch.tensor([[0, 0, 0, 5.0, 0, 0], [0, 0, 0, 0, 0, 5.0]])
    features = torch.cat([common, rare])
    findings = torch.zeros(202, dtype=torch.int64)
    for seed in range(5):
        assert {200, 201} <= set(select(features, findings, per_finding=4, seed=seed).tolist())
    twins = torch.randn(3, 6, generator=generator).repeat(5, 1)
    assert len(select(twins, torch.zeros(15, dtype=torch.int64), per_finding=10)) == 3


def study_labels(n: int = 400) -> torch.Tensor:
    """Finding 0 in half the studies, 1 in a tenth, 2 in one of fifty, often together; the rest have none."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.full((n, NUM_FINDINGS), torch.nan)
    chance = torch.zeros(NUM_FINDINGS)
    chance[:3] = torch.tensor([0.5, 0.1, 0.02])
    labels[torch.rand(n, NUM_FINDINGS, generator=generator) < chance] = 1.0
    labels[0, :] = torch.nan
    labels[1, 5] = -1.0
    return labels


def test_reports_balanced_shows_rare_findings_first() -> None:
    labels = study_labels()
    rows = select_reports(labels, total=60, method="balanced")
    counts = (labels[rows] == 1).sum(0)
    available = (labels == 1).sum(0)
    assert counts[2] == available[2]
    assert abs(int(counts[0]) - int(counts[1])) <= 6
    assert len(set(rows.tolist())) == 60
    assert int((labels[rows] != 1).all(1).sum()) > 5  # studies without a finding are remembered too


def test_reports_proportional_keeps_the_mixture() -> None:
    labels = study_labels()
    rows = select_reports(labels, total=100, method="proportional")
    share = (labels[rows] == 1).float().mean(0)[:2]
    everywhere = (labels == 1).float().mean(0)[:2]
    torch.testing.assert_close(share, everywhere, rtol=0.25, atol=0.04)


def test_reports_are_seeded_and_all_taken_where_asked() -> None:
    labels = study_labels()
    assert select_reports(labels, total=50, seed=3).tolist() == select_reports(labels, total=50, seed=3).tolist()
    assert select_reports(labels, total=50, seed=3).tolist() != select_reports(labels, total=50, seed=4).tolist()
    assert select_reports(labels, total=400).tolist() == list(range(400))
    assert select_reports(labels, total=9000).tolist() == list(range(400))
    assert len(select_reports(labels, total=399)) == 399


def test_bad_arguments() -> None:
    features, findings = candidates()
    with pytest.raises(ValueError, match=r"findings \[n\], not \[100, 8\], \[99\]"):
        select(features, findings[:99], per_finding=3)
    with pytest.raises(ValueError, match="per_finding must be at least 1"):
        select(features, findings, per_finding=0)
    with pytest.raises(ValueError, match="method must be"):
        select(features, findings, per_finding=3, method=cast(Any, "best"))
    with pytest.raises(ValueError, match=r"labels must be \[n 14\]"):
        select_reports(torch.zeros(5, 13), total=3)
    with pytest.raises(ValueError, match="total"):
        select_reports(study_labels(), total=0)
    with pytest.raises(ValueError, match="method must be"):
        select_reports(study_labels(), total=3, method=cast(Any, "best"))
    assert len(select(torch.empty(0, 8), torch.empty(0, dtype=torch.int64), per_finding=3)) == 0
