"""The examples of docs/location.md that are counted by hand, against the measures of location."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from ammrg.metrics.location import ASPECTS, Counts, location_scores, location_statistics
from ammrg.text.places import finding_places
from tests.worked_table import prose, worked_rows

HEADER = "| reference | report | side: pairs, same; in both, report, reference |"


class Example(NamedTuple):
    """One row of the table."""

    reference: str
    generated: str
    counts: dict[str, list[int]]
    """Aspect -> pairs, same, true, predicted, support."""


def examples() -> list[Example]:
    return [
        Example(
            row[0], row[1], {aspect: [*map(int, re.findall(r"\d+", row[i]))] for i, aspect in enumerate(ASPECTS, 2)}
        )
        for row in worked_rows("location", HEADER)
    ]


*TEN, TOTAL = examples()


def counted(examples: list[Example]) -> dict[str, Counts]:
    places = ([finding_places(text) for text in texts] for texts in zip(*(each[:2] for each in examples), strict=True))
    return location_statistics(*places, draws=0).found


def test_there_are_ten_and_their_sum() -> None:
    assert len(TEN) == 10
    assert TOTAL.reference == "all ten"
    for aspect in ASPECTS:
        assert [sum(column) for column in zip(*(each.counts[aspect] for each in TEN), strict=True)] == (
            TOTAL.counts[aspect]
        )


@pytest.mark.parametrize("example", TEN, ids=lambda example: example.reference)
def test_each_is_counted_as_by_hand(example: Example) -> None:
    for aspect, counts in counted([example]).items():
        assert [int(part[0]) for part in counts[:5]] == example.counts[aspect]


def test_the_figures_below_the_table_follow() -> None:
    places = [[finding_places(text) for text in texts] for texts in zip(*(each[:2] for each in TEN), strict=True)]
    found = location_scores(places[0], places[1])
    told = re.search(
        r"agreement is 5 / 8 = (\S+) and its F1 2 x 7 / \(12 \+ 11\) = (\S+); the level's are 3 / 3 = (\S+) and "
        r"2 x 3 / \(5 \+ 5\) = (\S+)\.",
        prose("location"),
    )
    assert told is not None
    keys = [f"location_{aspect}_{part}" for aspect in ASPECTS for part in ("agreement", "f1")]
    for key, figure in zip(keys, told.groups(), strict=True):
        assert found[key] == pytest.approx(float(figure), abs=0.0005)
