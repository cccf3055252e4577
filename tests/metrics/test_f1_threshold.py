"""The threshold for F1: against scipy and by hand, and better than the best of the very studies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.metrics import f1_score
from torch import Tensor

from ammrg.metrics.f1_threshold import calibration, f1_threshold


def drawn(studies: int, seed: int, slope: float = 1.0, offset: float = 0.0) -> tuple[Tensor, Tensor]:
    """Probabilities and targets; the log odds of the targets are slope * those of the probabilities + offset."""
    generator = torch.Generator().manual_seed(seed)
    log_odds = torch.randn(studies, generator=generator, dtype=torch.float64) * 2 - 2
    true = torch.rand(studies, generator=generator) < (slope * log_odds + offset).sigmoid()
    return log_odds.sigmoid(), true.double()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("studies", [2, 40, 400])
def test_calibration_is_the_most_likely_line(seed: int, studies: int) -> None:
    probabilities, target = drawn(studies, seed, slope=0.7, offset=0.5)
    x, y = probabilities.logit().numpy(), target.numpy()

    def loss(line: np.ndarray) -> float:
        z = line[0] * x + line[1]
        likelihood = (np.logaddexp(0, z) - y * z).sum()
        return float(likelihood + ((line[0] - 1) ** 2 + line[1] ** 2) / 2)

    found = minimize(loss, [0.3, 0.3], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}).x
    assert calibration(torch.from_numpy(x), target) == pytest.approx(found, abs=1e-4)


def test_with_many_studies_the_line_is_the_true_one() -> None:
    probabilities, target = drawn(100_000, 0, slope=0.5, offset=1.0)
    assert calibration(probabilities.logit(), target) == pytest.approx((0.5, 1.0), abs=0.05)


@pytest.mark.parametrize("ties", [False, True])
def test_the_expected_f1_is_the_best_of_all_thresholds(ties: bool) -> None:
    probabilities, target = drawn(120, 3)
    if ties:
        probabilities = (probabilities * 10).round() / 10
    log_odds = probabilities.logit(1e-6)
    slope, offset = calibration(log_odds, target)
    likely = (slope * log_odds + offset).sigmoid()

    def expected(threshold: float) -> float:
        called = probabilities > threshold
        return float(2 * likely[called].sum() / (called.sum() + likely.sum()))

    found = f1_threshold(probabilities, target)
    assert expected(found) == pytest.approx(max(expected(t) for t in np.linspace(-0.001, 0.9999, 3000)), abs=1e-12)
    assert not (probabilities == found).any()


def test_it_is_nearer_to_the_true_optimum_than_the_best_f1_of_the_studies() -> None:
    fresh, truth = drawn(20_000, 99)

    def reached(threshold: float) -> float:
        return float(f1_score(truth, fresh > threshold))

    ours, plain = [], []
    for seed in range(30):
        probabilities, target = drawn(100, seed)
        ours.append(reached(f1_threshold(probabilities, target)))
        tried = [(float(f1_score(target, probabilities > t)), float(t)) for t in probabilities - 1e-9]
        plain.append(reached(max(tried)[1]))
    optimum = max(reached(t) for t in np.linspace(0, 1, 101))
    assert optimum - np.mean(ours) < 0.5 * (optimum - np.mean(plain))


def test_probabilities_of_0_and_1_and_one_class_have_a_threshold() -> None:
    assert 0 < f1_threshold(torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0, 0, 1])) < 1
    assert f1_threshold(torch.tensor([0.2, 0.4]), torch.tensor([1, 1])) < 0.2  # all are called
    assert np.isfinite(f1_threshold(torch.tensor([0.2, 0.4]), torch.tensor([0, 0])))
    with torch.inference_mode():
        assert np.isfinite(f1_threshold(torch.tensor([0.2, 0.4]), torch.tensor([0, 1])))
