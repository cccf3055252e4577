"""The examples of docs/location.md of location against boxes, counted by hand."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pytest

from ammrg.findings import FINDINGS
from ammrg.metrics.box_location import BoxTruth, box_statistics, box_truth, weighted_scores
from ammrg.metrics.location import ASPECTS, Places
from ammrg.text.places import Place, finding_places
from ammrg.types import FilmBox
from tests.worked_table import prose, worked_rows


class Example(NamedTuple):
    """One row of the table."""

    truth: BoxTruth
    generated: Places
    counts: dict[str, list[int]]
    """Aspect -> true, predicted, support."""


def boxes(cell: str) -> list[FilmBox]:
    found = []
    for each in filter(None, cell.split("; ")):
        finding, *corners = each.rsplit(" ", 4)
        assert finding in FINDINGS
        x0, y0, x1, y1 = map(float, corners)
        found.append(FilmBox(finding, (x0, y0, x1, y1), "frontal"))
    return found


*SEVEN, TOTAL = worked_rows("location", "| reference | boxes: x0 y0 x1 y1 | report |")
EXAMPLES = [
    Example(
        box_truth(finding_places(reference), boxes(cell)),
        finding_places(report),
        {aspect: [*map(int, counts.split(", "))] for aspect, counts in zip(ASPECTS, by_hand, strict=True)},
    )
    for reference, cell, report, *by_hand in SEVEN
]


def test_there_are_seven_and_their_sum() -> None:
    assert len(EXAMPLES) == 7
    for aspect, total in zip(ASPECTS, TOTAL[3:], strict=True):
        sums = [sum(column) for column in zip(*(each.counts[aspect] for each in EXAMPLES), strict=True)]
        assert ", ".join(map(str, sums)) == total


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_is_counted_as_by_hand(example: Example) -> None:
    sure = box_truth({"Edema": Place()}, boxes("Edema .1 .4 .3 .6"))  # so that a study has one
    found = box_statistics([example.truth, sure], [example.generated, {}], draws=0).found
    for aspect, counts in found.items():
        assert [int(part[0]) for part in counts[2:5]] == example.counts[aspect]


def test_the_figures_below_the_table_follow() -> None:
    statistics = box_statistics([each.truth for each in EXAMPLES], [each.generated for each in EXAMPLES], draws=0)
    found = weighted_scores(statistics, np.ones((1, len(EXAMPLES))))
    told = re.search(
        r"side is 2 x 3 / \(5 \+ 6\) = (\S+), that of the level 2 x 2 / \(3 \+ 3\) = (\S+)\.", prose("location")
    )
    assert told is not None
    for key, figure in zip(("box_side_f1", "box_level_f1"), told.groups(), strict=True):
        assert found[key][0] == pytest.approx(float(figure), abs=0.0005)
