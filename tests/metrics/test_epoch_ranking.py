from __future__ import annotations

import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score
from torchmetrics.functional.classification import binary_auroc, binary_f1_score

from ammrg.findings import FINDINGS, NUM_FINDINGS
from ammrg.metrics.epoch_ranking import rank

HALF = torch.full((NUM_FINDINGS,), 0.5)


def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    targets = torch.zeros(40, NUM_FINDINGS)
    targets[:10, 0], targets[:9, 1] = 1.0, 1.0
    return torch.rand(40, NUM_FINDINGS), targets, torch.ones(40, NUM_FINDINGS)


def test_epochs_are_compared_by_findings_that_are_frequent_enough() -> None:
    probabilities, targets, mask = data()
    found = rank(probabilities, targets, mask, HALF)
    assert list(found.areas) == [FINDINGS[0], FINDINGS[1]]
    assert found.without == list(FINDINGS[2:])
    assert found.macro.item() == pytest.approx(roc_auc_score(targets[:, 0], probabilities[:, 0]))
    targets[9, 0] = 0.0  # none is frequent now: all that have an area
    found = rank(probabilities, targets, mask, HALF)
    expected = [roc_auc_score(targets[:, i], probabilities[:, i]) for i in (0, 1)]
    assert found.macro.item() == pytest.approx(sum(expected) / 2)


def test_negatives_must_be_frequent_too() -> None:
    probabilities, targets, mask = data()
    targets[:31, 2] = 1.0  # 9 negatives
    targets[:, 3] = 1.0  # none
    found = rank(probabilities, targets, mask, HALF)
    assert list(found.areas) == list(FINDINGS[:3])
    assert found.macro.item() == pytest.approx(roc_auc_score(targets[:, 0], probabilities[:, 0]))


def test_unknown_studies_are_left_out_and_f1_is_at_the_thresholds() -> None:
    probabilities, targets, mask = data()
    mask[5:30, 0] = 0.0
    mask[:, 3] = 0.0
    thresholds = torch.linspace(0.2, 0.8, NUM_FINDINGS)
    found = rank(probabilities, targets, mask, thresholds)
    known = mask[:, 0].bool()
    assert found.areas[FINDINGS[0]].item() == pytest.approx(roc_auc_score(targets[known, 0], probabilities[known, 0]))
    scores = []
    for i in range(NUM_FINDINGS):
        known = mask[:, i].bool()
        called = probabilities[known, i] > thresholds[i]
        scores.append(f1_score(targets[known, i], called, zero_division=0.0) if known.any() else 0.0)
    assert found.f1_macro.item() == pytest.approx(sum(scores) / NUM_FINDINGS)


@pytest.mark.parametrize("steps", [5, 100, 1_000_000])
def test_area_and_f1_are_those_of_torchmetrics(steps: int) -> None:
    """With few different probabilities there are many ties."""
    generator = torch.Generator().manual_seed(steps)
    probabilities = (torch.rand(500, NUM_FINDINGS, generator=generator) * steps).round() / steps
    targets = (torch.rand(500, NUM_FINDINGS, generator=generator) < 0.1 + 0.6 * probabilities).float()
    mask = (torch.rand(500, NUM_FINDINGS, generator=generator) < 0.8).float()
    found = rank(probabilities, targets, mask, HALF)
    areas, balances = [], []
    for i in range(NUM_FINDINGS):
        known = mask[:, i].bool()
        areas.append(binary_auroc(probabilities[known, i], targets[known, i].long()))
        balances.append(binary_f1_score((probabilities[known, i] > 0.5).long(), targets[known, i].long()))
    torch.testing.assert_close(torch.stack(list(found.areas.values())), torch.stack(areas), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.macro, torch.stack(areas).mean(), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.f1_macro, torch.stack(balances).mean(), rtol=0, atol=1e-6)


def test_nothing_to_compare_is_no_crash() -> None:
    probabilities, _, mask = data()
    found = rank(probabilities, torch.zeros(40, NUM_FINDINGS), mask, HALF)
    assert (found.areas, found.macro.item()) == ({}, 0.0)
