"""Location against boxes, counted by hand and by sets."""

from __future__ import annotations

import numpy as np
import pytest

from ammrg.errors import ScoringError
from ammrg.metrics import box_location
from ammrg.metrics.box_location import NOTHING, BoxTruth, box_statistics, box_truth, undefined, weighted_scores
from ammrg.text.places import Place
from ammrg.types import Corners, FilmBox

UPPER_RIGHT, LOWER_LEFT = (0.1, 0.1, 0.3, 0.3), (0.6, 0.7, 0.9, 0.9)


def place(side: str = "", level: str = "") -> Place:
    return Place(frozenset(side.split()), frozenset(level.split()))


def box(finding: str, corners: Corners = UPPER_RIGHT, projection: str = "frontal") -> FilmBox:
    return FilmBox(finding, corners, projection)


def test_truth_is_of_frontal_boxes_of_affirmed_findings() -> None:
    reference = {"Edema": place("left"), "Fracture": place(), "Pneumonia": place("right")}
    boxes = [
        box("Edema"),
        box("Edema", LOWER_LEFT),
        box("Fracture", projection="lateral"),
        box("Pneumonia", projection="unknown"),
        box("Pneumothorax"),
    ]
    truth = box_truth(reference, boxes)
    assert truth == BoxTruth({"Edema": place("left right", "upper lower")}, frozenset({"Fracture", "Pneumonia"}))


def test_findings_without_a_box_are_left_out_and_inventions_are_wrong() -> None:
    truths = [
        box_truth({"Edema": place(), "Fracture": place()}, [box("Edema"), box("Edema", LOWER_LEFT)]),
        box_truth({"Pneumonia": place()}, [box("Pneumonia", LOWER_LEFT)]),
        box_truth({}, []),
    ]
    generated = [
        {"Edema": place("right", "upper"), "Fracture": place("left", "mid")},  # no box of the fracture: not judged
        {"Pneumonia": place("left")},
        {"Lung Lesion": place("left", "lower")},  # the reference does not affirm it
    ]
    found = weighted_scores(box_statistics(truths, generated, draws=0), np.ones((1, 3)))
    # sides: true right of 2 + left of 1; named right + left + left
    assert found["box_side_f1"][0] == pytest.approx(2 * 2 / (3 + 3))
    # levels: true upper, lower + lower; named upper + lower
    assert found["box_level_f1"][0] == pytest.approx(2 * 1 / (3 + 2))
    assert set(found) == {"box_side_f1", "box_level_f1"}


def test_the_heart_and_the_base_under_an_effusion_are_no_place() -> None:
    reference = {"Cardiomegaly": place(), "Pleural Effusion": place("left")}
    truth = box_truth(reference, [box("Cardiomegaly", LOWER_LEFT), box("Pleural Effusion", LOWER_LEFT)])
    assert truth.places == {"Cardiomegaly": place(), "Pleural Effusion": place("left")}
    statistics = box_statistics([truth], [reference])
    assert weighted_scores(statistics, np.ones((1, 1)))["box_side_f1"][0] == 1.0
    assert undefined(statistics) == {"box_level_f1", "box_level_f1_chance"}


def test_without_boxes_there_is_nothing() -> None:
    statistics = box_statistics([box_truth({"Edema": place("left")}, [])], [{"Edema": place("left")}])
    assert statistics is NOTHING
    assert weighted_scores(statistics, np.ones((2, 1))) == {}
    assert undefined(statistics) == set()


def test_chance_is_that_of_location() -> None:
    sides = ("left", "right") * 20
    truths = [box_truth({"Edema": place()}, [box("Edema", UPPER_RIGHT if i % 2 else LOWER_LEFT)]) for i in range(40)]
    generated = [{"Edema": place(side)} for side in sides]
    found = weighted_scores(box_statistics(truths, generated), np.ones((1, 40)))
    assert found["box_side_f1"][0] == 1.0
    assert found[f"box_side_f1{box_location.CHANCE}"][0] == pytest.approx(0.5, abs=0.05)


def test_other_lengths_are_errors() -> None:
    with pytest.raises(ScoringError, match="1 studies, but 2 generated reports"):
        box_statistics([BoxTruth({}, frozenset())], [{}, {}])
