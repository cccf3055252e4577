from __future__ import annotations

import numpy as np
import pytest
import torch

from ammrg.errors import ScoringError
from ammrg.metrics import bootstrap


def mean_of(values: np.ndarray) -> bootstrap.WeightedScores:
    return lambda weights: {"mean": weights @ values / weights.sum(axis=1)}


def test_patients_are_drawn_whole() -> None:
    subjects = ["a", "b", "a", "c", "b", "b"]
    weights = bootstrap.patient_weights(subjects, 200, seed=1)
    assert weights.shape == (200, 6)
    for name in "abc":
        columns = weights[:, [i for i, subject in enumerate(subjects) if subject == name]]
        assert (columns == columns[:, :1]).all()
    one_each = weights[:, [0, 1, 3]]
    assert (one_each.sum(axis=1) == 3).all()
    assert one_each.std() > 0.5


def test_seeded() -> None:
    names = [str(i) for i in range(30)]
    assert np.array_equal(bootstrap.patient_weights(names, 10, 5), bootstrap.patient_weights(names, 10, 5))
    assert not np.array_equal(bootstrap.patient_weights(names, 10, 5), bootstrap.patient_weights(names, 10, 6))


@pytest.mark.parametrize("chunk", [1, 7, 100, 1000])
def test_the_size_of_a_chunk_changes_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the patients drawn, for odd and even numbers of patients, nor a score beyond rounding."""
    for patients in (61, 64):
        names = [str(i % patients) for i in range(150)]
        monkeypatch.setattr(bootstrap, "CHUNK", 250)
        weights = bootstrap.patient_weights(names, 300, seed=3)
        values = np.random.default_rng(1).normal(size=150)
        found = bootstrap.with_intervals(mean_of(values), weights)["mean"]
        monkeypatch.setattr(bootstrap, "CHUNK", chunk)
        assert np.array_equal(bootstrap.patient_weights(names, 300, seed=3), weights)
        assert bootstrap.with_intervals(mean_of(values), weights)["mean"] == pytest.approx(found, rel=0, abs=1e-12)


def test_patients_are_drawn_as_at_once() -> None:
    """One call of the generator for all resamples, as in earlier versions: old and new intervals are the same."""
    drawn = np.random.default_rng(5).integers(40, size=(600, 40))
    expected = np.stack([np.bincount(row, minlength=40) for row in drawn])
    assert np.array_equal(bootstrap.patient_weights([f"{i:02}" for i in range(40)], 600, 5), expected)


def test_interval_of_a_mean_is_that_of_theory() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    weights = bootstrap.patient_weights([str(i) for i in range(400)], 4000, seed=0)
    found = bootstrap.with_intervals(mean_of(values), weights)["mean"]
    half = 1.96 * values.std() / np.sqrt(400)
    assert found["value"] == pytest.approx(values.mean())
    assert found["low"] == pytest.approx(values.mean() - half, abs=0.02)
    assert found["high"] == pytest.approx(values.mean() + half, abs=0.02)


def test_interval_of_the_values_that_are_numbers_is_that_of_torch() -> None:
    """With ties, and without the resamples in which the score is undefined."""
    values = np.random.default_rng(3).normal(size=1001).round(2)
    values[5::7] = np.nan
    found = bootstrap.with_interval(values)
    tails = torch.nanquantile(torch.from_numpy(values[1:]), torch.tensor([0.025, 0.975], dtype=torch.float64))
    assert found["value"] == values[0]
    assert [found["low"], found["high"]] == pytest.approx(tails.tolist(), abs=1e-12)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([np.nan, 1.0, 2.0], (None, None, None)),
        ([0.5, np.nan, np.nan], (0.5, None, None)),
        ([0.5], (0.5, None, None)),
        ([0.5, np.nan, 0.25], (0.5, 0.25, 0.25)),
    ],
)
def test_what_is_undefined_is_none(values: list[float], expected: tuple[float | None, ...]) -> None:
    assert tuple(bootstrap.with_interval(np.array(values)).values()) == expected


def test_repeated_patients_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(1).normal(size=50), 4)
    apart = bootstrap.with_intervals(mean_of(values), bootstrap.patient_weights([str(i) for i in range(200)]))
    together = bootstrap.with_intervals(mean_of(values), bootstrap.patient_weights([str(i // 4) for i in range(200)]))
    width = {name: found["mean"]["high"] - found["mean"]["low"] for name, found in (("a", apart), ("t", together))}
    assert width["t"] / width["a"] == pytest.approx(2.0, rel=0.2)


def test_without_resamples_no_interval() -> None:
    found = bootstrap.with_intervals(mean_of(np.ones(3)), bootstrap.patient_weights(list("abc"), 0))
    assert found == {"mean": {"value": 1.0, "low": None, "high": None}}


def test_paired_difference_is_narrower_than_the_difference_of_strangers() -> None:
    draw = np.random.default_rng(2)
    base = draw.normal(size=200)
    weights = bootstrap.patient_weights([str(i) for i in range(200)], 500)
    gap = bootstrap.paired_difference(mean_of(base + 0.1), mean_of(base), weights)["mean"]
    assert (gap["value"], gap["low"], gap["high"]) == pytest.approx((0.1, 0.1, 0.1))


def test_no_studies_is_an_error() -> None:
    with pytest.raises(ScoringError, match="no studies"):
        bootstrap.patient_weights([])
