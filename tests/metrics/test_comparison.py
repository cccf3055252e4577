from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from ammrg.metrics import bootstrap, clinical, language
from ammrg.metrics.comparison import compare, randomisation_p_values, stacked, swaps

WORDS = ("the", "lungs", "are", "clear", "no", "effusion", "heart", ".")


def texts(count: int, seed: int) -> list[str]:
    draw = np.random.default_rng(seed)
    return [" ".join(draw.choice(WORDS, size=draw.integers(3, 15))) for _ in range(count)]


def mean(values: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    return {"mean": weights @ values / weights.sum(axis=1)}


def test_swaps_take_patients_whole() -> None:
    exchanged = swaps(["a", "b", "a", "c"], 400, seed=1)
    assert exchanged.shape == (400, 4)
    assert (exchanged[:, 0] == exchanged[:, 2]).all()
    assert exchanged.mean(axis=0) == pytest.approx(0.5, abs=0.1)
    assert np.array_equal(exchanged, swaps(["a", "b", "a", "c"], 400, seed=1))


def test_p_value_is_that_of_the_exact_test() -> None:
    """Against all 2^10 sign flips, counted by hand."""
    draw = np.random.default_rng(0)
    gaps = draw.normal(0.5, 1.0, size=10)
    flips = np.array(list(product([1, -1], repeat=10)))
    exact = (np.abs((flips * gaps).sum(axis=1)) >= abs(gaps.sum()) - 1e-12).mean()
    both = stacked(gaps, np.zeros(10))
    found = randomisation_p_values(lambda rows: mean(both, rows), swaps([str(i) for i in range(10)], 20_000))
    assert found["mean"] == pytest.approx(exact, abs=0.01)


def test_corpus_metrics_of_swapped_systems_are_scored_anew() -> None:
    """What the weights of stacked statistics give is the score of the very mixture of reports."""
    references, first, second = texts(12, 0), texts(12, 1), texts(12, 2)
    pair = stacked(language.language_statistics(references, first), language.language_statistics(references, second))
    other = swaps([str(i) for i in range(12)], 1, seed=3)[0]
    mixture = [b if swap else a for a, b, swap in zip(first, second, other, strict=True)]
    weights = np.concatenate([1.0 - other, 1.0 * other])[None]
    found = language.weighted_scores(pair, weights)
    for key, value in language.language_scores(references, mixture).items():
        assert found[key][0] == pytest.approx(value, abs=1e-9)


def test_equal_systems_differ_in_nothing() -> None:
    labels = np.random.default_rng(4).choice([1.0, 0.0, np.nan], size=(30, 14))
    statistics = clinical.clinical_statistics(labels, np.roll(labels, 1, axis=0))
    ids = [str(i) for i in range(30)]
    found = compare(
        statistics, statistics, clinical.weighted_scores, bootstrap.patient_weights(ids, 50), swaps(ids, 99)
    )
    for difference in found.values():
        assert difference == (0.0, 0.0, 0.0, 1.0, 0.0)


def test_a_better_system_is_seen_and_chance_is_not() -> None:
    draw = np.random.default_rng(5)
    base = draw.normal(size=200)
    ids = [str(i) for i in range(200)]
    weights, exchanged = bootstrap.patient_weights(ids, 500), swaps(ids, 999)
    better = compare(base + 0.3 + draw.normal(0, 0.5, 200), base, mean, weights, exchanged)["mean"]
    assert better.low > 0
    assert better.p_value == pytest.approx(1 / 1000)
    assert better.effect > 4
    alike = [
        compare(base + np.random.default_rng(seed).normal(0, 0.5, 200), base, mean, weights, exchanged)["mean"].p_value
        for seed in range(40)
    ]
    assert np.mean(np.array(alike) < 0.2) == pytest.approx(0.2, abs=0.15)
