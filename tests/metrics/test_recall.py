"""Measures of recall: by hand, by sets, under weights; and what makes a region or a report right."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from ammrg.metrics import bootstrap
from ammrg.metrics.recall import (
    KEYS,
    Query,
    RecallStatistics,
    recall_difference,
    recall_scores,
    recall_statistics,
    region_is_right,
    report_is_right,
    weighted_scores,
)
from ammrg.text.places import Place

NO_RESAMPLES = np.ones((0, 3))


def place(side: str = "", level: str = "") -> Place:
    return Place(frozenset(side.split()), frozenset(level.split()))


def values(statistics: RecallStatistics) -> dict[str, float | None]:
    weights = np.ones((0, len(statistics.judged)))
    return {key: row["value"] for key, row in recall_scores(statistics, weights).items()}


def test_by_hand() -> None:
    queries = [
        Query(0, (7, 8, 9), (True, False, False)),
        Query(0, (7,), (False,)),
        Query(1, (8, 7, 6, 5, 4, 3), (False, True, True, False, False, True)),  # the sixth is not looked at
        Query(2, (7, 9), None),
        Query(2, (), ()),  # recalls nothing, so nothing right
    ]
    found = recall_statistics(queries, 3)
    assert values(found) == {
        "distinct_first": 2 / 4,
        "top_share": 3 / 4,
        "precision_at_1": 1 / 4,
        "precision_at_5": pytest.approx((1 / 3 + 0 + 2 / 5 + 0) / 4),
    }


def drawn(seed: int, patterns: int, studies: int = 60) -> list[Query]:
    draw = random.Random(seed)
    return [
        Query(study, tuple(draw.sample(range(patterns), 5)), tuple(draw.random() < 0.3 for _ in range(5)))
        for study in range(studies)
        for _ in range(draw.randint(0, 3))
    ]


def test_weights_are_repeated_studies() -> None:
    queries = drawn(0, 12)
    counts = np.random.default_rng(0).integers(0, 4, size=60)
    repeated = [query for query in queries for _ in range(counts[query.study])]
    found = weighted_scores(recall_statistics(queries, 60), counts[None].astype(float))
    firsts = Counter(query.patterns[0] for query in repeated)
    assert found["distinct_first"][0] == pytest.approx(len(firsts) / len(repeated))
    assert found["top_share"][0] == pytest.approx(max(firsts.values()) / len(repeated))
    for depth in (1, 5):
        shares = [np.mean((query.right or ())[:depth]) for query in repeated]
        assert found[f"precision_at_{depth}"][0] == pytest.approx(np.mean(shares))


def test_intervals_are_about_their_values() -> None:
    """Also where every pattern is different, and a resample, which draws some studies twice, has fewer of them."""
    weights = bootstrap.patient_weights([str(i) for i in range(60)], 400)
    different = recall_statistics([Query(i, (i,), (i % 3 == 0,)) for i in range(60)], 60)
    assert weighted_scores(different, weights)["distinct_first"].max() < 0.8
    rows = recall_scores(different, weights)
    assert rows["distinct_first"]["value"] == rows["distinct_first"]["high"] == 1.0
    assert 0.85 < rows["distinct_first"]["low"] < 1.0
    for statistics in (different, recall_statistics(drawn(1, 9), 60), recall_statistics(drawn(2, 200), 60)):
        for row in recall_scores(statistics, weights).values():
            assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
    plain = bootstrap.interval(weighted_scores(different, weights)["precision_at_1"])
    assert [rows["precision_at_1"][end] for end in ("low", "high")] == pytest.approx(plain, abs=0.01)


def test_a_better_memory_is_above_a_worse_one() -> None:
    weights = bootstrap.patient_weights([str(i) for i in range(60)], 400)
    good = recall_statistics([Query(i, (i, 0), (i % 4 > 0, True)) for i in range(60)], 60)
    bad = recall_statistics([Query(i, (1, 0), (i % 4 == 0, False)) for i in range(60)], 60)
    gaps = recall_difference(good, bad, weights)
    assert gaps["precision_at_1"]["value"] == pytest.approx(0.5)
    assert gaps["precision_at_1"]["low"] > 0.2
    assert gaps["distinct_first"]["value"] == pytest.approx(59 / 60)
    assert gaps["top_share"]["value"] == pytest.approx(-59 / 60)
    same = recall_difference(good, good, weights)
    assert {tuple(row.values()) for row in same.values()} == {(0.0, 0.0, 0.0)}


def test_nothing_to_count_has_no_figure() -> None:
    unjudged = recall_statistics([Query(0, (1,), None)], 3)
    assert values(unjudged) == {
        "distinct_first": 1.0,
        "top_share": 1.0,
        "precision_at_1": None,
        "precision_at_5": None,
    }
    with np.errstate(all="raise"):
        silent = recall_statistics([], 3)
        assert set(values(silent).values()) == {None}
        weights = bootstrap.patient_weights(list("abc"), 20)
        assert set(recall_difference(unjudged, recall_statistics([Query(0, (2,), None)], 3), weights)) == set(KEYS[:2])
        assert recall_difference(unjudged, silent, weights) == {}
    assert recall_scores(unjudged, NO_RESAMPLES)["distinct_first"] == {"value": 1.0, "low": None, "high": None}


LEFT_UPPER = place("left", "upper")


@pytest.mark.parametrize(
    ("reference", "mined_for", "stored", "right"),
    [
        (LEFT_UPPER, "Edema", LEFT_UPPER, True),
        (LEFT_UPPER, "Pneumonia", LEFT_UPPER, False),
        (LEFT_UPPER, None, LEFT_UPPER, False),
        (LEFT_UPPER, "Edema", place("right", "upper"), False),
        (LEFT_UPPER, "Edema", place("left", "lower"), False),
        (LEFT_UPPER, "Edema", place("left"), False),  # its level is unknown
        (LEFT_UPPER, "Edema", None, False),
        (place("left"), "Edema", place("left", "lower"), True),  # the reference names only a side
        (place("", "upper"), "Edema", place("right", "upper"), True),
        (place("left right", "lower"), "Edema", place("left", "lower"), True),  # one part of a finding on both sides
        (place("left", "lower"), "Edema", place("left right", "lower"), False),
    ],
)
def test_regions(reference: Place, mined_for: str | None, stored: Place | None, right: bool) -> None:
    assert region_is_right("Edema", reference, mined_for, stored) is right


def test_reports() -> None:
    left, both = {"Edema": place("left")}, {"Edema": place("left right")}
    assert report_is_right({}, {})
    assert not report_is_right({}, left)
    assert report_is_right(left, {"Edema": place("left", "lower")})  # levels do not count
    assert not report_is_right(left, {"Edema": place("right")})
    assert not report_is_right(left, {"Edema": place()})
    assert report_is_right(both, left)  # 1 of 2
    assert not report_is_right(both, {"Edema": place("left"), "Fracture": place()})  # 1 of 3
    assert report_is_right({"Cardiomegaly": place(), **left}, {"Cardiomegaly": place()})
