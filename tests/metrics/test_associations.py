from __future__ import annotations

import pytest
import torch

from ammrg.metrics.associations import AssociationCounts, added, association_scores, count_associations

FINDINGS_OF = torch.tensor([-1, -1, 3, 3, 3, 5, 5, 7])  # two disease queries, then six regions


def associations(*rows: tuple[int, int, list[float]], studies: int = 2) -> torch.Tensor:
    found = torch.zeros(studies, 14, len(FINDINGS_OF))
    for study, finding, weights in rows:
        found[study, finding] = torch.tensor(weights)
    return found


def labels(*positives: tuple[int, int], studies: int = 2) -> torch.Tensor:
    known = torch.full((studies, 14), torch.nan)
    known[0, 9] = -1.0  # uncertain is not asked
    known[1, 0] = 0.0
    for study, finding in positives:
        known[study, finding] = 1.0
    return known


def test_one_query_by_hand() -> None:
    found = associations((0, 3, [0.3, 0.1, 0.2, 0.05, 0.05, 0.3, 0.0, 0.0]))
    total, each = association_scores(count_associations(found, labels((0, 3)), FINDINGS_OF, k=4))
    assert set(each) == {3}
    assert total.queries == 1
    assert total.top == 0.0  # the strongest region is of finding 5; the stronger disease query is no region
    assert total.top_k == pytest.approx(3 / 4)
    assert total.weight == pytest.approx(0.3 / 0.6)
    assert total.on_regions == pytest.approx(0.6)
    assert total.chance == pytest.approx(3 / 6)


def test_what_may_not_be_recalled_counts_neither_for_nor_against() -> None:
    found = associations((0, 3, [0, 0, 0, 0, 0.5, 0.5, 0, 0]), (1, 5, [0, 0, 0, 0, 0, 0, 1.0, 0]))
    allowed = torch.ones(2, 8, dtype=torch.bool)
    allowed[0, 2:4] = False
    total, each = association_scores(count_associations(found, labels((0, 3), (1, 5)), FINDINGS_OF, allowed))
    assert each[3].chance == pytest.approx(1 / 4)
    assert each[3].top_k == pytest.approx(1 / 4)  # four regions are left to look at
    assert each[5].top == 1.0
    assert total.queries == 2
    allowed[0] = False
    assert association_scores(count_associations(found, labels((0, 3)), FINDINGS_OF, allowed))[0].queries == 0


def test_a_finding_without_regions_is_asked_and_fails() -> None:
    found = associations((0, 11, [0, 0, 1.0, 0, 0, 0, 0, 0]))
    total, _ = association_scores(count_associations(found, labels((0, 11)), FINDINGS_OF))
    assert (total.top, total.top_k, total.chance, total.queries) == (0.0, 0.0, 0.0, 1)


def test_no_finding_is_asked_only_where_it_has_regions() -> None:
    found = associations((0, 13, [0, 0, 1.0, 0, 0, 0, 0, 0]), (1, 3, [0, 0, 1.0, 0, 0, 0, 0, 0]))
    known = labels((0, 13), (1, 3))
    assert association_scores(count_associations(found, known, FINDINGS_OF))[0].queries == 1
    assert known[0, 13] == 1.0  # what was given is left as it is
    stored = FINDINGS_OF.clone()
    stored[7] = 13
    assert set(association_scores(count_associations(found, known, stored))[1]) == {3, 13}


def test_random_associations_reach_chance_and_batches_add_up() -> None:
    torch.manual_seed(0)
    findings = torch.randint(0, 13, (300,))
    found = torch.rand(200, 14, 300)
    found = found / found.sum(-1, keepdim=True)
    known = (torch.rand(200, 14) < 0.3).float()
    whole = count_associations(found, known, findings)
    total, _ = association_scores(whole)
    assert total.top_k == pytest.approx(total.chance, abs=0.03)
    assert total.weight == pytest.approx(total.chance, abs=0.01)
    assert total.on_regions == pytest.approx(1.0)
    parts = [count_associations(found[i : i + 50], known[i : i + 50], findings) for i in range(0, 200, 50)]
    together = added(parts)
    assert isinstance(together, AssociationCounts)
    torch.testing.assert_close(torch.stack(list(together)), torch.stack(list(whole)))
