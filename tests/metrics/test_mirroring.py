"""Whether sides follow mirrored films, against a plain count and a plain bootstrap."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from ammrg.errors import ScoringError
from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.metrics.bootstrap import patient_weights
from ammrg.metrics.mirroring import OUTCOMES, mirrored_follows, outcome_counts
from ammrg.text.places import Place

SIDES = [frozenset(sides) for sides in ((), ("left",), ("right",), ("left", "right"))]
PLACES = [None, *(Place(side, level) for side in SIDES for level in (frozenset(), frozenset(("upper",))))]
"""None: the report does not affirm the finding."""


def named(place: Place | None, finding: str = "Pneumonia") -> dict[str, Place]:
    return {} if place is None else {finding: place}


@pytest.mark.parametrize(("before", "after"), itertools.product(PLACES, PLACES))
def test_every_pair_of_places(before: Place | None, after: Place | None) -> None:
    counts = dict(zip(OUTCOMES, outcome_counts([named(before)], [named(after)])[0], strict=True))
    if before is None or len(before.side) != 1:
        assert sum(counts.values()) == 0
        return
    (side,) = before.side
    other = {"left": "right", "right": "left"}[side]
    told = {frozenset[str](): "unsided", frozenset((side,)): "kept", frozenset((other,)): "flipped"}
    expected = "dropped" if after is None else told.get(after.side, "both")
    assert counts == {name: float(name == expected) for name in OUTCOMES}


def drawn(seed: int, studies: int = 60) -> list[dict[str, Place]]:
    draw = random.Random(seed)
    names = [FINDINGS[i] for i in ABNORMAL]
    return [{name: draw.choice(PLACES[1:]) or Place() for name in draw.sample(names, 4)} for _ in range(studies)]


def test_the_share_and_its_interval_over_patients() -> None:
    before, after = drawn(0), drawn(1)
    patients = [f"p{i // 3}" for i in range(60)]
    found = mirrored_follows(outcome_counts(before, after), patient_weights(patients, 200, seed=4))
    pairs = [
        [(place.side, texts[1].get(name)) for name, place in texts[0].items() if len(place.side) == 1]
        for texts in zip(before, after, strict=True)
    ]
    follows = [[len(after.side) == 1 and after.side != side if after else False for side, after in of] for of in pairs]
    assert found["n"] == sum(map(len, pairs)) == sum(found[name] for name in OUTCOMES)
    assert found["flipped"] == sum(map(sum, follows)) > 0
    assert found["value"] == pytest.approx(found["flipped"] / found["n"])
    shares = []
    for weights in patient_weights(patients, 200, seed=4):
        repeated = [one for row, times in enumerate(weights.astype(int)) for one in follows[row] * times]
        shares.append(sum(repeated) / len(repeated))
    assert (found["low"], found["high"]) == pytest.approx(tuple(np.percentile(shares, [2.5, 97.5])))


def test_reports_that_flip_every_side_follow_in_all() -> None:
    before = drawn(2)
    swap = {"left": "right", "right": "left"}
    after = [{name: Place(frozenset(swap[one] for one in p.side), p.level) for name, p in of.items()} for of in before]
    found = mirrored_follows(outcome_counts(before, after), patient_weights([str(i) for i in range(60)], 50))
    assert (found["value"], found["low"], found["high"]) == (1.0, 1.0, 1.0)
    same = mirrored_follows(outcome_counts(before, before), np.zeros((0, 60)))
    assert (same["value"], same["low"], same["kept"]) == (0.0, None, found["n"])


def test_without_a_finding_on_one_side_there_is_no_share() -> None:
    places = [{"Pneumonia": Place()}, {"Edema": Place(frozenset(("left", "right")))}]
    found = mirrored_follows(outcome_counts(places, places), patient_weights(["a", "b"], 20))
    assert found == {"value": None, "low": None, "high": None, "n": 0, **dict.fromkeys(OUTCOMES, 0)}


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ScoringError, match="1 reports, but 0 of mirrored films"):
        outcome_counts([{}], [])
    with pytest.raises(ScoringError, match="no studies"):
        outcome_counts([], [])
