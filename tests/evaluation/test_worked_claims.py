"""The examples of docs/claims.md that are counted by hand, against the measures of invention and faithfulness."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ammrg.metrics import faithfulness, invented
from ammrg.text.labeler import label
from ammrg.text.unseen import unseen_kinds
from ammrg.text.unseen_words import KINDS
from tests.worked_table import prose, worked_rows

INVENTED = worked_rows("claims", "| reference | report | reference: change, size, distance |")
SAID = worked_rows("claims", "| the network's table | report |")
PARTS = ("found", "said", "both", "denied")


def numbers(cell: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", cell)]


@pytest.mark.parametrize("rows", [INVENTED, SAID], ids=["invented", "said"])
def test_there_are_eight_and_their_sum(rows: list[list[str]]) -> None:
    *eight, total = rows
    assert len(eight) == 8
    assert total[0] == "all eight"
    for column in range(2, len(total)):
        assert np.sum([numbers(row[column]) for row in eight], axis=0).tolist() == numbers(total[column])


@pytest.mark.parametrize("row", INVENTED[:-1], ids=lambda row: row[1])
def test_each_text_speaks_of_what_is_counted_by_hand(row: list[str]) -> None:
    for said, cell in zip(row[:2], row[2:], strict=True):
        assert [int(kind in unseen_kinds(said)) for kind in KINDS] == numbers(cell)


@pytest.mark.parametrize("row", SAID[:-1], ids=lambda row: row[1])
def test_each_report_says_what_is_counted_by_hand(row: list[str]) -> None:
    found = faithfulness.faithfulness_statistics([names(row[0])], [label(row[1])])
    assert [int(found[part].sum()) for part in PARTS] == numbers(row[2])


def names(cell: str) -> list[str]:
    return [name for name in cell.split(", ") if name]


def test_the_shares_below_the_table_follow() -> None:
    sides = [[unseen_kinds(row[side]) for row in INVENTED[:-1]] for side in (0, 1)]
    found = invented.weighted_scores(invented.invented_statistics(*sides), np.ones((1, 8)))
    told = re.search(r"`invented` is 5 / 8 = (\S+); of the references two, 2 / 8 = (\S+)\.", prose("claims"))
    assert told is not None
    assert [float(found[key][0]) for key in ("invented", "invented_references")] == [*map(float, told.groups())]


def test_the_measures_below_the_table_follow() -> None:
    rows = SAID[:-1]
    statistics = faithfulness.faithfulness_statistics([names(row[0]) for row in rows], [label(row[1]) for row in rows])
    found = faithfulness.weighted_scores(statistics, np.ones((1, 8)))
    told = re.search(
        r"`said_f1` is 2 x 4 / \(8 \+ 6\) = (\S+), `said_missing` 4 / 8 = (\S+) and `said_invented` 2 / 6 = (\S+)\.",
        prose("claims"),
    )
    assert told is not None
    for key, figure in zip(faithfulness.KEYS, told.groups(), strict=True):
        assert found[key][0] == pytest.approx(float(figure), abs=0.0005)
