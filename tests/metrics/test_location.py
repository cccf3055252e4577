"""Measures of location against counts by hand, by sets, and against what chance must be."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from itertools import permutations

import numpy as np
import pytest

from ammrg.errors import ScoringError
from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.metrics import bootstrap
from ammrg.metrics.location import (
    ASPECTS,
    CHANCE,
    KEYS,
    Places,
    above_chance,
    location_scores,
    location_statistics,
    pair_counts,
    undefined,
    weighted_scores,
)
from ammrg.text.places import Place

NAMES = [FINDINGS[i] for i in ABNORMAL]


def place(side: str = "", level: str = "") -> Place:
    return Place(frozenset(side.split()), frozenset(level.split()))


def drawn(count: int, seed: int, shared: Sequence[Places] = ()) -> list[Places]:
    """Random places; some are copied from ``shared``."""
    draw = random.Random(seed)
    studies: list[Places] = []
    for i in range(count):
        found = {
            name: place(
                " ".join(draw.sample(ASPECTS["side"], draw.randint(0, 2))),
                " ".join(draw.sample(ASPECTS["level"], draw.randint(0, 3))),
            )
            for name in draw.sample(NAMES, draw.randint(0, 5))
        }
        studies.append({**shared[i], **dict(list(found.items())[:1])} if shared and draw.random() < 0.5 else found)
    return studies


def by_sets(reference: Sequence[Places], generated: Sequence[Places], aspect: str) -> tuple[float, float]:
    """(agreement, F1) with sets of triples: an independent way to the same figures."""
    pairs = [
        (getattr(theirs[name], aspect), getattr(ours[name], aspect))
        for theirs, ours in zip(reference, generated, strict=True)
        for name in theirs.keys() & ours.keys()
    ]
    both = [(theirs, ours) for theirs, ours in pairs if theirs and ours]
    triples = [
        {(i, name, word) for i, each in enumerate(texts) for name, at in each.items() for word in getattr(at, aspect)}
        for texts in (reference, generated)
    ]
    f1 = 2 * len(triples[0] & triples[1]) / (len(triples[0]) + len(triples[1]))
    return sum(theirs == ours for theirs, ours in both) / len(both), f1


def test_measures_are_those_of_sets() -> None:
    reference = drawn(60, 0)
    generated = drawn(60, 1, reference)
    found = location_scores(reference, generated)
    for aspect in ASPECTS:
        agreement, f1 = by_sets(reference, generated, aspect)
        assert found[f"location_{aspect}_agreement"] == pytest.approx(agreement)
        assert found[f"location_{aspect}_f1"] == pytest.approx(f1)
    assert set(found) == {*KEYS, *(f"{key}{CHANCE}" for key in KEYS)}


def test_weights_are_repeated_studies() -> None:
    reference = drawn(40, 2)
    generated = drawn(40, 3, reference)
    counts = np.random.default_rng(0).integers(0, 4, size=40)
    weighted = weighted_scores(location_statistics(reference, generated, draws=0), counts[None].astype(float))
    repeated = [np.repeat(np.array(texts, dtype=object), counts).tolist() for texts in (reference, generated)]
    for aspect in ASPECTS:
        agreement, f1 = by_sets(repeated[0], repeated[1], aspect)
        assert weighted[f"location_{aspect}_agreement"][0] == pytest.approx(agreement)
        assert weighted[f"location_{aspect}_f1"][0] == pytest.approx(f1)


def test_silence_has_no_say_in_agreement_but_costs_f1() -> None:
    reference = [{"Edema": place("left", "lower")}, {"Fracture": place("right")}, {"Pneumothorax": place("left")}]
    generated = [{"Edema": place("left")}, {"Fracture": place()}, {}]
    statistics = location_statistics(reference, generated)
    found = location_scores(reference, generated)
    assert found["location_side_agreement"] == 1.0
    assert found["location_side_f1"] == pytest.approx(2 * 1 / (1 + 3))
    assert found["location_level_agreement"] is None
    assert found["location_level_f1"] == 0.0
    assert pair_counts(statistics) == {
        "side": {"pairs": 1, "same": 1, "placed": 3, "covered": 1 / 3},
        "level": {"pairs": 0, "same": 0, "placed": 1, "covered": 0.0},
    }


def test_both_sides_are_not_one_side() -> None:
    found = location_scores([{"Edema": place("left right")}], [{"Edema": place("left")}])
    assert found["location_side_agreement"] == 0.0
    assert found["location_side_f1"] == pytest.approx(2 / 3)


def test_chance_is_the_mean_over_all_orders() -> None:
    """Against all 4! orders of four studies' places, for one finding; a study that does not affirm it takes no part."""
    sides = ("left", "left", "right", "left right")
    reference = [{"Edema": place(side)} for side in ("right", "left", "left right", "left")] + [
        {"Edema": place("left")}
    ]
    generated = [{"Edema": place(side)} for side in sides] + [{"Fracture": place("left")}]
    orders = [
        by_sets(reference, [{"Edema": place(sides[i])} for i in order] + [generated[4]], "side")
        for order in permutations(range(4))
    ]
    expected = np.mean(orders, axis=0)
    found = location_scores(reference, generated, draws=4000)
    assert found["location_side_agreement_chance"] == pytest.approx(expected[0], abs=0.02)
    assert found["location_side_f1_chance"] == pytest.approx(expected[1], abs=0.02)


def test_coins_are_at_chance_and_the_truth_is_above_it() -> None:
    draw = random.Random(0)
    reference: list[Places] = [
        {name: place(draw.choice(ASPECTS["side"]), draw.choice(ASPECTS["level"])) for name in draw.sample(NAMES, 3)}
        for _ in range(200)
    ]
    coins: list[Places] = [
        {name: place(draw.choice(ASPECTS["side"]), draw.choice(ASPECTS["level"])) for name in each}
        for each in reference
    ]
    weights = bootstrap.patient_weights([str(i) for i in range(200)], 200)
    at_chance, known = (
        above_chance(found, bootstrap.plain_and_resampled(partial(weighted_scores, found), weights))
        for found in (location_statistics(reference, texts) for texts in (coins, reference))
    )
    for key in KEYS:
        assert at_chance[key]["low"] < 0 < at_chance[key]["high"]
        assert known[key]["low"] > 0.3
    found = location_scores(reference, coins)
    assert found["location_side_agreement_chance"] == pytest.approx(0.5, abs=0.02)
    assert found["location_level_agreement_chance"] == pytest.approx(1 / 3, abs=0.02)


def test_chance_is_the_mean_over_exchanges_of_each_finding() -> None:
    """Exchanges made one by one with plain sets, from the same random numbers."""
    reference, generated = drawn(40, 6), drawn(40, 7)
    generator = np.random.default_rng(9)
    expected = dict.fromkeys(KEYS, 0.0)
    for _ in range(20):
        moved: list[dict[str, Place]] = [{} for _ in generated]
        for name in NAMES:
            rows = [i for i, each in enumerate(generated) if name in each]
            for to, origin in zip(rows, generator.permutation(np.array(rows, dtype=np.int64)), strict=True):
                moved[to][name] = generated[origin][name]
        found = location_scores(reference, moved, draws=0)
        for key in KEYS:
            expected[key] += (found[key] or 0.0) / 20
    found = location_scores(reference, generated, draws=20, seed=9)
    for key in KEYS:
        assert found[f"{key}{CHANCE}"] == pytest.approx(expected[key], abs=1e-12)


def test_equal_arguments_give_equal_chances() -> None:
    reference = drawn(30, 4)
    assert location_scores(reference, drawn(30, 5)) == location_scores(reference, drawn(30, 5))


@pytest.mark.parametrize("generated", [[{}, {}], [{"Edema": place()}, {"Fracture": place()}]])
def test_texts_without_any_place_have_no_figure(generated: list[Places]) -> None:
    with np.errstate(all="raise"):
        statistics = location_statistics([{"Edema": place()}, {}], generated)
        found = location_scores([{"Edema": place()}, {}], generated)
        weights = bootstrap.patient_weights(["a", "b"], 20)
        values = bootstrap.plain_and_resampled(partial(weighted_scores, statistics), weights)
        assert above_chance(statistics, values) == {}
    assert set(found.values()) == {None}
    assert undefined(statistics) == set(found)
    assert pair_counts(statistics)["side"] == {"pairs": 0, "same": 0, "placed": 0, "covered": None}


def test_other_lengths_are_errors() -> None:
    with pytest.raises(ScoringError, match="2 references, but 1 generated reports"):
        location_statistics([{}, {}], [{}])
    with pytest.raises(ScoringError, match="no studies"):
        location_statistics([], [])
