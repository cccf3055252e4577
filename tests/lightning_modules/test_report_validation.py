"""The place of findings in a validation: its F1, its gap, and its share of the score that chooses the checkpoint."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from functools import partial

import pytest

from ammrg.text.places import finding_places
from lightning_modules.report_validation import (
    CLINICAL,
    CONSTANT_FLOOR,
    SIDE,
    Judged,
    Recall,
    Yardstick,
    exchanged_sides,
    report_numbers,
)

NAMES = ("pneumothorax", "pneumonia", "consolidation")
UNSIDED = ["There is a pneumothorax.", "There is pneumonia.", "The heart is normal."] * 10


def drawn(seed: int, count: int = 40, sides: Sequence[str] = ("left", "right", "bilateral")) -> list[str]:
    draw = random.Random(seed)
    return [
        " ".join(f"There is {draw.choice(sides)} upper lobe {name}." for name in draw.sample(NAMES, 2))
        for _ in range(count)
    ]


def swapped(texts: list[str]) -> list[str]:
    return [text.replace("left", "~").replace("right", "left").replace("~", "right") for text in texts]


def judged(references: list[str], texts: list[str], exchanged: list[str] | None = None) -> list[Judged]:
    others = exchanged or [None] * len(texts)
    return [Judged(1.0, 1.0, 1, *each) for each in zip(references, texts, others, strict=True)]


def numbers(references: list[str], texts: list[str], exchanged: list[str] | None = None) -> dict[str, float]:
    yardstick = Yardstick()

    def train(split: str) -> list[str]:
        return [*UNSIDED, *references][:20]

    return report_numbers(
        judged(references, texts, exchanged), exchanged is not None, lambda given: yardstick(train, given)
    )


def test_exchanged_sides_are_the_mean_over_all_exchanges() -> None:
    """Against every order of the sides of each finding, counted one by one."""
    references = drawn(1, count=7)
    true = named = 0.0
    for name in ("Pneumothorax", "Pneumonia", "Consolidation"):
        found = [places[name].side for places in map(finding_places, references) if name in places]
        orders = list(itertools.permutations(found))
        true += sum(len(a & b) for order in orders for a, b in zip(found, order, strict=True)) / len(orders)
        named += sum(map(len, found))
    assert exchanged_sides(references) == pytest.approx(true / named, abs=0.05)
    even = [text for side in ("left", "right") for text in [f"There is {side} pneumonia."] * 20]
    assert exchanged_sides(even) == pytest.approx(0.5, abs=0.03)
    # Findings without a side take no part; where all are alike, exchanging them changes nothing.
    assert exchanged_sides([*["There is left pneumonia."] * 3, *UNSIDED]) == 1.0
    assert exchanged_sides(UNSIDED) is None


def test_the_right_sides_win_where_all_else_is_equal() -> None:
    references = drawn(2, sides=("left", "right"))
    right, wrong = numbers(references, references), numbers(references, swapped(references))
    assert right[CLINICAL] == wrong[CLINICAL] == 1.0
    assert (right[SIDE], wrong[SIDE]) == (1.0, 0.0)
    assert right["location_level_f1"] == wrong["location_level_f1"] == 1.0
    assert right["location_side_n"] == right["location_level_n"] == 80
    side, yardstick = 1.0, exchanged_sides(references)
    assert yardstick is not None
    # CIDEr falls too, because the words differ; the rest of the gap is the side's third.
    words = Yardstick()
    best = words(lambda _: [*UNSIDED, *references][:20], references)
    gap = (right["cider"] - wrong["cider"]) / best["cider"] / 3 + side / yardstick / 3
    assert right["score"] - wrong["score"] == pytest.approx(gap)


def test_the_side_gap_is_that_of_the_partners_films() -> None:
    references = drawn(3, sides=("left", "right"))
    half = [*references[:20], *swapped(references[20:])]
    found = numbers(references, references, half)
    assert found["side_gap"] == pytest.approx(0.5)
    assert found["shuffle_gap_f1"] == 0.0
    assert numbers(references, half, references)["side_gap"] == pytest.approx(-0.5)
    assert numbers(references, references, references)["side_gap"] == 0.0
    assert "side_gap" not in numbers(references, references)


def test_references_without_a_side_leave_it_out_and_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["There is a left pneumothorax."] * 30
    yardstick = Yardstick()
    seen = [
        report_numbers(judged(UNSIDED, texts, UNSIDED), True, lambda given: yardstick(lambda _: UNSIDED, given))
        for _ in range(2)
    ]
    said = "val/score leaves the side F1 out: the 30 validation references name no side of a finding (n = 0)"
    assert capsys.readouterr().out.splitlines() == [said]
    found = seen[0]
    assert (found["location_side_n"], found["location_level_n"]) == (0.0, 0.0)
    assert {SIDE, "location_level_f1", "side_gap"}.isdisjoint(found)
    assert set(yardstick.best) == {"cider", CLINICAL}
    assert found["score"] == pytest.approx(sum(found[name] / yardstick.best[name] for name in yardstick.best) / 2)


def test_a_silent_report_loses_the_third_part() -> None:
    references = drawn(4)
    silent = ["There is a pneumothorax."] * 40
    found = numbers(references, silent)
    assert found[SIDE] == found["location_level_f1"] == 0.0
    assert found["score"] < numbers(references, references)["score"]


def test_recall_has_its_share_of_the_score_where_it_is_taught() -> None:
    references = drawn(3)
    plain = judged(references, references)
    taught = [
        study._replace(recalled={"visual": Recall(2, right, 0.4), "report": Recall(1, 1, 0.02)})
        for right, study in zip(itertools.cycle((0, 1, 2)), plain, strict=False)
    ]
    taught[0] = taught[0]._replace(recalled={"visual": Recall(0, 0, 0.0), "report": Recall(1, 0, 0.02)})

    def train(split: str) -> list[str]:
        return [*UNSIDED, *references][:20]

    yardstick = Yardstick()
    without, found = (report_numbers(each, False, partial(yardstick, train)) for each in (plain, taught))
    right = sum(study.recalled["visual"].right for study in taught)
    assert found["recall_regions"] == pytest.approx(right / (2 * 39))
    assert found["recall_reports"] == pytest.approx(39 / 40)
    recall = found["recall_regions"] / 0.2 + found["recall_reports"] / CONSTANT_FLOOR
    assert found["score"] == pytest.approx((3 * without["score"] + recall) / 5)
    assert "recall_regions" not in without
