from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from ammrg.memory import neighbours
from ammrg.memory.bank import MemoryBank

BankOf = Callable[..., MemoryBank]


def clustered(bank_of: BankOf, per_group: int = 6) -> tuple[MemoryBank, torch.Tensor]:
    """Three tight groups of patterns; rows 2i and 2i + 1 are of one patient; the last row is a disease query."""
    n = 3 * per_group
    generator = torch.Generator().manual_seed(0)
    owners = [[(f"s{row}", f"p{row // 2}")] for row in range(n)]
    bank = bank_of([*owners, []], width=16)
    centres = 4 * torch.randn(3, 16, generator=generator)
    groups = torch.arange(n + 1) % 3
    patterns = centres[groups] + 0.1 * torch.randn(n + 1, 16, generator=generator)
    return dataclasses.replace(bank, patterns=patterns), groups


def test_nearest_are_of_other_patients_and_equal_the_plain_definition(bank_of: BankOf) -> None:
    bank, _ = clustered(bank_of)
    found = neighbours.nearest(bank, torch.arange(len(bank)), k=4)
    points = bank.patterns.double().numpy()
    points = points - points.mean(1, keepdims=True)
    near = np.corrcoef(points)
    for row in range(len(bank)):
        others = [
            other
            for other in range(len(bank) - 1)
            if other != row and (row == len(bank) - 1 or bank.subject_ids[other] != bank.subject_ids[row])
        ]
        expected = sorted(others, key=lambda other: -near[row, other])[:4]
        assert found.indices[row].tolist() == expected
        np.testing.assert_allclose(found.similarities[row], near[row, expected], atol=1e-4)


def test_a_shared_pattern_is_no_neighbour_of_itself_nor_of_any_owner(bank_of: BankOf) -> None:
    bank = bank_of([[("s1", "p1"), ("s2", "p2")], [("s3", "p1")], [("s2", "p2")], [("s4", "p4")], []], width=16)
    bank.patterns[1:3] = bank.patterns[0]  # as near as can be
    assert neighbours.nearest(bank, torch.tensor([0]), 1).indices.tolist() == [[3]]
    assert neighbours.nearest(bank, torch.tensor([3]), 3).indices[0].sort().values.tolist() == [0, 1, 2]
    groups = torch.tensor([1, 1, 1, 2, 2])
    alike = neighbours.agreement(bank, groups)[1]
    # row 0 may ask row 3 alone, which is of another group; rows 1 and 2 each other, row 0 and row 3
    assert (alike.found, alike.chance, alike.patterns) == pytest.approx((2 / 3, (0 + 2 / 3 + 2 / 3) / 3, 3))


def test_blocks_change_nothing(bank_of: BankOf, monkeypatch: pytest.MonkeyPatch) -> None:
    bank, groups = clustered(bank_of)
    rows = torch.arange(len(bank))
    whole, alike = neighbours.nearest(bank, rows, 3), neighbours.agreement(bank, groups)
    monkeypatch.setattr(neighbours, "ROWS_AT_ONCE", 4)
    assert torch.equal(neighbours.nearest(bank, rows, 3).indices, whole.indices)
    assert neighbours.agreement(bank, groups) == alike


def test_like_lies_near_like_in_groups_and_not_in_noise(bank_of: BankOf) -> None:
    bank, groups = clustered(bank_of)
    found = neighbours.agreement(bank, groups)
    assert set(found) == {0, 1, 2}
    for group in found.values():
        assert group.found == 1.0
        # of 18 patterns 6 are alike; neither the row itself nor its patient's other pattern is asked
        assert group.chance == pytest.approx(5 / 16)
        assert group.patterns == 6
    generator = torch.Generator().manual_seed(1)
    shuffled = dataclasses.replace(bank, patterns=torch.randn(len(bank), 16, generator=generator))
    assert np.mean([group.found for group in neighbours.agreement(shuffled, groups).values()]) < 0.7


def test_left_out_of_the_agreement(bank_of: BankOf) -> None:
    bank, groups = clustered(bank_of)
    groups[0] = -1
    assert neighbours.agreement(bank, groups)[0].patterns == 5
    alone = bank_of([[("s1", "p1")], [("s2", "p1")]])
    lonely = neighbours.agreement(alone, torch.tensor([3, 3]))[3]
    assert lonely.patterns == 0
    assert np.isnan(lonely.found)
    assert neighbours.nearest(alone, torch.tensor([0]), 5).similarities.tolist() == [[-torch.inf] * 2]
    assert neighbours.nearest(alone, torch.tensor([], dtype=torch.int64), 5).indices.shape == (0, 2)


def test_the_plane_is_that_of_the_principal_components(bank_of: BankOf) -> None:
    bank, _ = clustered(bank_of)
    points, shares = neighbours.plane(bank.patterns)
    rows = torch.nn.functional.layer_norm(bank.patterns.double(), (16,)).numpy()
    reference = PCA(2).fit(rows)  # an independent implementation
    np.testing.assert_allclose(shares, reference.explained_variance_ratio_, atol=1e-5)
    np.testing.assert_allclose(np.abs(points), np.abs(reference.transform(rows)), atol=1e-4)
    assert torch.equal(neighbours.plane(bank.patterns)[0], points)
