"""Places of boxes: the patient's side, three levels, and findings that have none."""

from __future__ import annotations

import pytest

from ammrg.text.box_places import (
    BOTH_SIDES,
    LOWER_FROM,
    MID_FROM,
    finding_place_of_boxes,
    place_of_box,
    place_of_boxes,
)
from ammrg.text.places import Place

UPPER_RIGHT, LOWER_LEFT = (0.1, 0.1, 0.3, 0.3), (0.6, 0.7, 0.9, 0.9)


def place(side: str = "", level: str = "") -> Place:
    return Place(frozenset(side.split()), frozenset(level.split()))


@pytest.mark.parametrize(
    ("x0", "x1", "side"),
    [
        (0.0, 0.5, "right"),  # the film's left half is the patient's right
        (0.5, 1.0, "left"),
        (0.0, 1.0, "left right"),
        (0.3, 0.65, "left right"),
        (0.25, 0.875, "left right"),  # just four tenths in one half, where "both" begins
        (0.125, 0.75, "left right"),
        (0.3, 0.55, "right"),  # a fifth lies beyond the midline
        (0.45, 0.7, "left"),
    ],
)
def test_side_is_the_patients(x0: float, x1: float, side: str) -> None:
    assert place_of_box((x0, 0.1, x1, 0.2)).side == place(side).side


@pytest.mark.parametrize("over", [-0.001, 0.001])
def test_a_box_is_on_both_sides_from_a_share_beyond_the_midline(over: float) -> None:
    share, width = BOTH_SIDES + over, 0.2
    expected = {"left", "right"} if over > 0 else {"right"}
    assert place_of_box((0.5 - width * (1 - share), 0.1, 0.5 + width * share, 0.2)).side == expected


@pytest.mark.parametrize(
    ("height", "level"),
    [
        (0.05, "upper"),
        (MID_FROM - 0.001, "upper"),
        (MID_FROM, "mid"),
        (LOWER_FROM - 0.001, "mid"),
        (LOWER_FROM, "lower"),
    ],
)
def test_level_is_that_of_the_centre(height: float, level: str) -> None:
    assert place_of_box((0.1, height - 0.04, 0.2, height + 0.04)).level == {level}


def test_several_boxes_give_all_their_places() -> None:
    assert place_of_boxes([UPPER_RIGHT, LOWER_LEFT]) == place("left right", "lower upper")
    assert place_of_boxes([]) == Place()


def test_findings_keep_what_a_report_would_say() -> None:
    both = [UPPER_RIGHT, LOWER_LEFT]
    assert finding_place_of_boxes("Edema", both) == place("left right", "lower upper")
    assert finding_place_of_boxes("Pleural Effusion", both) == place("left right", "upper")
    assert finding_place_of_boxes("Pleural Effusion", [LOWER_LEFT]) == place("left")
    assert finding_place_of_boxes("Cardiomegaly", both) == Place()


def test_a_box_without_width_lies_where_it_is() -> None:
    assert [place_of_box((x, 0.1, x, 0.2)).side for x in (0.2, 0.8)] == [{"right"}, {"left"}]
