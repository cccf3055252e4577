"""Against scikit-learn, weighted and not, with ties."""

from __future__ import annotations

import pytest
import torch
from sklearn import metrics

from ammrg.findings import FINDINGS
from ammrg.metrics import classification as ours
from ammrg.metrics.bootstrap import with_interval
from ammrg.metrics.f1_threshold import f1_threshold


@pytest.fixture
def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores = (torch.rand(80, generator=generator) * 20).round() / 20  # many ties
    target = (torch.rand(80, generator=generator) < 0.3 + 0.3 * scores).long()
    subjects = torch.randint(0, 50, (80,), generator=generator)
    return scores, target, ours.patient_weights(subjects, 20, seed=1)


def test_plain_scores_are_one_number() -> None:
    scores, target = torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1])
    assert ours.auroc(scores, target, ours.once_each(4)).tolist() == [0.75]


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
    found = with_interval(ours.auroc(scores, target, weights).numpy())
    assert found["low"] < found["value"] < found["high"]  # type: ignore[operator]
    assert with_interval(ours.auroc(scores, torch.zeros(80), weights).numpy())["value"] is None


def test_few_positives_take_the_training_quantile_and_are_flagged() -> None:
    generator = torch.Generator().manual_seed(1)
    probabilities = torch.rand(200, 14, generator=generator)
    targets, mask = torch.zeros(200, 14), torch.ones(200, 14)
    targets[:9, 0] = 1  # one too few
    targets[:10, 1] = 1
    prevalence = torch.full((14,), torch.nan)
    prevalence[:3] = torch.tensor([0.1, 0.1, 0.25])
    mask[:100, 2] = 0
    thresholds, fallback = ours.choose_thresholds(probabilities, targets, mask, prevalence)
    assert fallback.tolist() == [True, False] + [True] * 12
    assert (probabilities[:, 0] > thresholds[0]).sum() == 20
    assert thresholds[1] == pytest.approx(f1_threshold(probabilities[:, 1], targets[:, 1]))
    assert (probabilities[100:, 2] > thresholds[2]).sum() == 25  # of the known ones
    assert (thresholds[3:] == 0.5).all()  # nothing is known of training


def test_scores_of_a_split_name_what_it_does_not_hold() -> None:
    generator = torch.Generator().manual_seed(2)
    probabilities = torch.rand(60, 14, generator=generator)
    targets = (torch.rand(60, 14, generator=generator) < probabilities).float()
    targets[:, 11] = 0
    mask = torch.ones(60, 14)
    mask[:20, 3] = 0
    scores = ours.finding_scores(probabilities, targets, mask, torch.arange(60), torch.full((14,), 0.5), 100)
    assert scores["undefined"] == ["Fracture"]
    assert scores["positives"]["Fracture"] == 0
    expected = [
        metrics.roc_auc_score(targets[20 * (i == 3) :, i], probabilities[20 * (i == 3) :, i])
        for i in range(14)
        if i != 11
    ]
    assert scores["auroc_macro"]["value"] == pytest.approx(sum(expected) / 13)
    assert scores["auroc"]["Lung Lesion"]["value"] == pytest.approx(expected[3])
    assert scores["ece"]["value"] == pytest.approx(sum(s["value"] for s in scores["ece_by_finding"].values()) / 14)
    assert all(set(scores[name]) == set(FINDINGS) for name in ("auroc", "ap", "f1", "ece_by_finding"))
    assert scores["ece_by_finding"]["Fracture"]["value"] == pytest.approx(float(probabilities[:, 11].mean()))


@pytest.mark.parametrize(("patients", "told"), [(1, False), (4, False), (5, True)])
def test_too_few_patients_have_no_interval(patients: int, told: bool) -> None:
    """Of one patient every resample is the same: an interval without width would look sure."""
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(40, 14, generator=generator)
    targets = (torch.rand(40, 14, generator=generator) < 0.5).float()
    subjects = torch.arange(40) % patients
    scores = ours.finding_scores(
        probabilities, targets, torch.ones(40, 14), subjects, torch.full((14,), 0.5), resamples=50
    )
    assert (scores["auroc_macro"]["low"] is not None) == told
    assert scores["auroc_macro"]["value"] is not None
    if told:
        assert scores["auroc_macro"]["low"] < scores["auroc_macro"]["high"]
