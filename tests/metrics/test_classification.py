"""Against scikit-learn, weighted and not, with ties."""

from __future__ import annotations

import pytest
import torch
from sklearn import metrics

from ammrg.metrics import classification as ours


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores = (torch.rand(80, generator=generator) * 20).round() / 20  # many ties
    target = (torch.rand(80, generator=generator) < 0.3 + 0.3 * scores).long()
    subjects = torch.randint(0, 50, (80,), generator=generator)
    return scores, target, ours.patient_weights(subjects, 20, seed=1)


def test_ranking_scores(case: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    scores, target, weights = case
    area, precision = ours.auroc(scores, target, weights), ours.average_precision(scores, target, weights)
    for row, weight in enumerate(weights):
        assert area[row] == pytest.approx(metrics.roc_auc_score(target, scores, sample_weight=weight))
        assert precision[row] == pytest.approx(metrics.average_precision_score(target, scores, sample_weight=weight))


def test_f1(case: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    scores, target, weights = case
    found = ours.f1(scores > 0.5, target, weights)
    for row, weight in enumerate(weights):
        assert found[row] == pytest.approx(metrics.f1_score(target, scores > 0.5, sample_weight=weight))
    assert ours.f1(torch.zeros(3), torch.zeros(3), torch.ones(1, 3)).item() == 0


def test_best_threshold_by_trying_all(case: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> None:
    scores, target, _ = case
    threshold = ours.best_f1_threshold(scores, target)
    best = max(metrics.f1_score(target, scores > t) for t in torch.linspace(-0.01, 1, 200).tolist())
    assert metrics.f1_score(target, scores > threshold) == pytest.approx(best)


def test_calibration_error_by_hand() -> None:
    probabilities = torch.tensor([0.1, 0.1, 0.9, 0.9])
    weights = torch.ones(1, 4, dtype=torch.float64)
    assert ours.calibration_error(probabilities, torch.tensor([0, 0, 1, 1]), weights).item() == pytest.approx(0.1)
    assert ours.calibration_error(probabilities, torch.tensor([1, 1, 0, 0]), weights).item() == pytest.approx(0.9)


def test_patients_are_drawn_whole_and_intervals_hold_the_value(
    case: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    scores, target, _ = case
    subjects = torch.arange(80) // 2
    weights = ours.patient_weights(subjects, 200)
    assert torch.equal(weights[:, ::2], weights[:, 1::2])
    assert torch.equal(weights.sum(1), torch.full((201,), 80.0, dtype=torch.float64))
    found = ours.interval(ours.auroc(scores, target, weights))
    assert found["low"] < found["value"] < found["high"]  # type: ignore[operator]
    assert ours.interval(ours.auroc(scores, torch.zeros(80), weights))["value"] is None
