"""Checks of equality: what they let pass, and what they must not."""

from __future__ import annotations

import math

import pytest
import torch

from ammrg.memory.regions import Region
from benchmarks.agreement import check_gaps, gap
from benchmarks.kills import identical
from benchmarks.mining import PATCH, SIDE, Agreement, build, check_equal, compare, draw_films


def test_a_gap_is_relative_to_the_largest_and_nan_is_no_agreement() -> None:
    wanted = torch.tensor([1.0, -4.0])
    assert gap(torch.tensor([1.2, -4.0]), wanted) == pytest.approx(0.05)
    assert gap(torch.zeros(2), torch.zeros(2)) == 0.0
    for broken in (torch.tensor([math.nan, -4.0]), torch.tensor([math.inf, -4.0]), torch.ones(3)):
        assert gap(broken, wanted) == math.inf
        assert gap(wanted, broken) == math.inf
    assert gap(torch.ones(2), torch.zeros(2)) == math.inf


@pytest.mark.parametrize("gaps", [{"a": 0.0, "b": 2e-3}, {"a": math.nan, "b": 0.0}, {}])
def test_what_is_apart_ends_the_benchmark(gaps: dict[str, float]) -> None:
    with pytest.raises(SystemExit, match="the two differ by more than 1e-03"):
        check_gaps(gaps, 1e-3, "the two")
    assert check_gaps({"a": 1e-4, "b": 1e-5}, 1e-3, "the two") == 1e-4


def test_identical_means_every_number() -> None:
    values = torch.tensor([0.0, math.nan, math.inf])
    assert identical(values, values.clone())
    for other in (torch.tensor([math.nan, math.nan, math.inf]), torch.tensor([0.0, 0.0, math.inf]), values.double()):
        assert not identical(values, other)
    assert not identical(torch.tensor([0.0]), torch.tensor([math.nan]))
    assert not identical(torch.tensor([math.inf]), torch.tensor([torch.finfo().max]))


def square(row: int, column: int, mean: float, token: float = 1.0, finding: int = 1) -> Region:
    edges = (column, row, column + 1, row + 1)
    x0, y0, x1, y1 = (edge * PATCH / SIDE for edge in edges)
    return Region(finding, (x0, y0, x1, y1), mean, torch.tensor([token, 2.0]))


STRONG = [square(0, 0, 0.9), square(3, 4, 0.8)]


def test_squares_of_equal_mean_may_stand_for_each_other() -> None:
    mine, theirs = [*STRONG, square(5, 5, 0.70000001)], [*STRONG, square(1, 7, 0.7)]
    assert compare([STRONG, mine], [STRONG, theirs]) == Agreement(squares=5, ties=1, tokens=0.0)
    assert compare([STRONG[::-1]], [STRONG]).ties == 0


@pytest.mark.parametrize(
    ("mine", "message"),
    [
        ([*STRONG, square(5, 5, 0.69)], "our regions .* differ from those"),  # another mean
        ([square(0, 1, 0.9), square(3, 4, 0.8), square(1, 7, 0.7)], "our regions .* differ from those"),  # not weakest
        (STRONG, "our regions .* differ from those"),
        ([*STRONG, square(1, 7, 0.7, finding=2)], "our regions .* differ from those"),
        ([*STRONG, square(1, 7, 0.7, token=1.1)], "tokens of ours"),
        ([*STRONG, square(1, 7, 0.7, token=math.nan)], "tokens of ours"),
    ],
)
def test_other_squares_or_tokens_end_the_benchmark(mine: list[Region], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        compare([mine], [[*STRONG, square(1, 7, 0.7)]])


def test_crops_are_those_of_the_published_procedure() -> None:
    found = check_equal(build("swin-t", "192 x 2"), draw_films(1, 1)[0], draw_films(1, 1)[1])
    assert found.squares == 6
    assert found.tokens < 1e-3
