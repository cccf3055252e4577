"""The place of a finding from its boxes on a frontal film, in the words of reports: side and level.

Right and left are the patient's, who faces the viewer: the left half of the film is the right side. Every film must be
frontal; a lateral film shows no side.
"""

from __future__ import annotations

from collections.abc import Iterable

from ammrg.text.places import Place, own_place
from ammrg.types import Corners

MID_FROM, LOWER_FROM = 0.38, 0.58
"""Heights on the film, as shares from its top, at which the mid and the lower level begin.

Source: of all pairs in steps of .005 these agree best with what the phantom planned, on average over its two versions.
Of the boxes of lung findings on 400 training studies .862 (version 1, n = 363) and 1.000 (version 2, n = 361) have the
planned level; on 100 validation studies, where nothing was chosen, .849 (n = 106) and 1.000 (n = 109)
(``python -m benchmarks.box_places``). Patients of version 1 stand higher or lower on their films, and its levels touch.
"""
BOTH_SIDES = 0.4
"""Least share of a box's width beyond the midline of the film for the box to lie on both sides."""
_MIDLINE = 0.5
_RIGHT, _LEFT, _BOTH = frozenset({"right"}), frozenset({"left"}), frozenset({"left", "right"})


def place_of_box(corners: Corners) -> Place:
    """The side and level of a box on a frontal film; both sides if it lies well across the midline.

    Args:
        corners: x0 y0 x1 y1 in relative film coordinates, y downwards.

    Returns:
        A place with one level, that of the box's centre, and one side or both.
    """
    x0, y0, x1, y1 = corners
    share = (_MIDLINE - x0) / max(
        x1 - x0, 1e-9
    )  # of its width in the left half of the film; below 0 or above 1: all on a side
    both = BOTH_SIDES <= share <= 1 - BOTH_SIDES
    height = (y0 + y1) / 2
    level = "upper" if height < MID_FROM else "mid" if height < LOWER_FROM else "lower"
    return Place(_BOTH if both else _RIGHT if share > 0.5 else _LEFT, frozenset({level}))


def place_of_boxes(boxes: Iterable[Corners]) -> Place:
    """All sides and levels of some boxes on frontal films; empty sets if there is none."""
    place = Place()
    for corners in boxes:
        place = place.joined(place_of_box(corners))
    return place


def finding_place_of_boxes(finding: str, boxes: Iterable[Corners]) -> Place:
    """The place of a finding from its boxes, without what a report would not say of it.

    The heart lies in the midline and has no place; the lower level of an effusion goes without saying
    (:func:`ammrg.text.places.own_place`).
    """
    return own_place(finding, place_of_boxes(boxes))
