"""Shares of reports that speak of what one film cannot show, against counts by hand."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ammrg.errors import ScoringError
from ammrg.metrics import bootstrap
from ammrg.metrics.invented import (
    KEYS,
    REFERENCES,
    above_references,
    invented_statistics,
    report_counts,
    weighted_scores,
)
from ammrg.text.unseen_words import KINDS


def drawn(count: int, seed: int) -> list[frozenset[str]]:
    draw = random.Random(seed)
    return [frozenset(draw.sample(KINDS, draw.choice((0, 0, 0, 1, 2)))) for _ in range(count)]


def test_shares_and_counts_are_those_by_hand() -> None:
    ours = [frozenset({"change"}), frozenset({"change", "size"}), frozenset(), frozenset()]
    theirs = [frozenset(), frozenset({"distance"}), frozenset(), frozenset()]
    statistics = invented_statistics(theirs, ours)
    found = {key: float(value[0]) for key, value in weighted_scores(statistics, np.ones((1, 4))).items()}
    assert [found[key] for key in KEYS] == [0.5, 0.5, 0.25, 0.0]
    assert [found[f"{key}{REFERENCES}"] for key in KEYS] == [0.25, 0.0, 0.0, 0.25]
    assert [*report_counts(statistics)["generated"].values()] == [2, 2, 1, 0]
    assert [*report_counts(statistics)["references"].values()] == [1, 0, 0, 1]


def test_a_resample_is_the_share_of_the_drawn_studies() -> None:
    ours, theirs = drawn(30, 1), drawn(30, 2)
    weights = bootstrap.patient_weights([f"p{i // 2}" for i in range(30)], 20)
    found = weighted_scores(invented_statistics(theirs, ours), weights)
    for row, counts in enumerate(weights.astype(int)):
        again = [i for i, times in enumerate(counts) for _ in range(times)]
        assert found["invented"][row] == pytest.approx(np.mean([bool(ours[i]) for i in again]))
        assert found["invented_size_references"][row] == pytest.approx(np.mean(["size" in theirs[i] for i in again]))


def test_the_difference_from_the_references_is_paired() -> None:
    same = drawn(40, 3)
    weights = bootstrap.patient_weights([str(i) for i in range(40)], 50)
    gap = above_references(invented_statistics(same, same), weights)["invented"]
    assert (gap["value"], gap["low"], gap["high"]) == (0.0, 0.0, 0.0)
    more = [kinds | {"change"} for kinds in same]
    assert above_references(invented_statistics(same, more), weights)["invented_change"]["low"] > 0


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(ScoringError, match="2 references, but 1 generated reports"):
        invented_statistics([frozenset()] * 2, [frozenset()])
    with pytest.raises(ScoringError, match="no studies"):
        invented_statistics([], [])
