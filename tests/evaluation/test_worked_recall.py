"""The examples of docs/recall.md of recall, worked by hand."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pytest

from ammrg.findings import FINDINGS
from ammrg.metrics.recall import Query, recall_statistics, region_is_right, report_is_right, weighted_scores
from ammrg.text.place_words import LEVELS, SIDES
from ammrg.text.places import Place, finding_places
from tests.worked_table import prose, worked_rows


class Placed(NamedTuple):
    """``12 Pneumonia: left upper``: row of the bank (0 if none is given), finding and place."""

    row: int
    finding: str
    place: Place


def placed(cell: str) -> Placed:
    found = re.fullmatch(r"(\d*) ?([A-Z][\w ]+):([a-z ]*)", cell)
    assert found is not None
    words = set(found[3].split())
    assert found[2] in FINDINGS
    assert words <= {*SIDES, *LEVELS}
    return Placed(int(found[1] or 0), found[2], Place(frozenset(words & {*SIDES}), frozenset(words & {*LEVELS})))


def query(study: int, reference: str, recalled: str) -> Query:
    wanted, regions = placed(reference), [placed(each) for each in recalled.split("; ")]
    right = tuple(region_is_right(wanted.finding, wanted.place, each.finding, each.place) for each in regions)
    return Query(study, tuple(each.row for each in regions), right if wanted.place != Place() else None)


REGIONS = worked_rows("recall", "| finding and its place in the reference |")
REPORTS = worked_rows("recall", "| reference | recalled report |")
QUERIES = [query(study, *row[:2]) for study, row in enumerate(REGIONS)]


@pytest.mark.parametrize(("one", "by_hand"), zip(QUERIES, (row[2] for row in REGIONS), strict=True))
def test_regions_are_judged_as_by_hand(one: Query, by_hand: str) -> None:
    if one.right is None:
        assert by_hand == "not judged"
    else:
        assert by_hand == f"{int(one.right[0])} of 1, {sum(one.right)} of {len(one.right)}"


def test_the_figures_below_the_table_follow() -> None:
    assert len(QUERIES) == 6
    found = weighted_scores(recall_statistics(QUERIES, 6), np.ones((1, 6)))
    told = re.search(
        r"`distinct_first` is 4 / 6 = (\S+); .* `top_share` is 2 / 6 = (\S+)\. .* `precision_at_1` is 3 / 4 = (\S+), "
        r"and `precision_at_5` is \(1/2 \+ 1 \+ 1/3 \+ 0\) / 4 = (\S+)\.",
        prose("recall"),
    )
    assert told is not None
    for values, figure in zip(found.values(), told.groups(), strict=True):
        assert values[0] == pytest.approx(float(figure), abs=0.0005)


@pytest.mark.parametrize(("reference", "recalled", "by_hand", "right"), REPORTS)
def test_reports_are_judged_as_by_hand(reference: str, recalled: str, by_hand: str, right: str) -> None:
    texts = finding_places(reference), finding_places(recalled)
    sets = [{(name, side) for name, place in each.items() for side in place.side or ("",)} for each in texts]
    assert by_hand == f"{len(sets[0] & sets[1])}, {len(sets[0] | sets[1])}"
    assert report_is_right(*texts) is (right == "yes")
