"""Ranks and differences over shared resamples, beside values counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ammrg.metrics.bootstrap import interval
from ammrg.metrics.ranks import ranks, standings


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    values = np.array([[3.0, 1.0], [3.0, 2.0], [1.0, 0.5]])
    assert ranks(values).tolist() == [[1.5, 2.0], [1.5, 1.0], [3.0, 3.0]]


def test_a_system_that_sometimes_wins_is_close_and_one_that_never_does_is_not() -> None:
    draws = np.random.default_rng(0).normal(0.5, 0.1, 1000)
    best, near, far = np.append(0.5, draws), np.append(0.49, draws[::-1]), np.append(0.3, draws - 0.2)
    found = standings(np.stack([near, best, far]))
    assert [each.best for each in found] == [False, True, False]
    assert [each.close for each in found] == [True, False, False]
    assert found[0].below == pytest.approx(-0.01)
    assert found[2].below_interval == (pytest.approx(-0.2), pytest.approx(-0.2))
    wins = float((draws[::-1] > draws).mean())
    assert found[0].expected_rank < found[2].expected_rank
    assert 0.4 < wins < 0.6
    assert found[0].rank_interval == (1.0, 3.0)
    assert [each.interval for each in found] == [interval(each[1:]) for each in (near, best, far)]


def test_without_resamples_there_is_only_the_rank() -> None:
    found = standings(np.array([[0.2], [0.4]]))
    assert [each.rank for each in found] == [2.0, 1.0]
    assert found[0].interval is found[0].expected_rank is found[0].below_interval is None
    assert not found[0].close
