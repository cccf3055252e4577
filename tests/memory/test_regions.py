from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ammrg.findings import NO_FINDING
from ammrg.maps import shows_place
from ammrg.memory.regions import Region, pick_regions

GRID = 8


def film(**changes: Any) -> list[Region]:
    """Regions of a film where finding 1 is positive and predicted, with one peak at row 2, column 5."""
    torch.manual_seed(0)
    maps = torch.zeros(14, GRID, GRID)
    maps[1, 2, 5] = 4.0
    arguments: dict[str, Any] = {
        "maps": maps,
        "tokens": torch.randn(GRID * GRID, 6),
        "labels": torch.zeros(14).index_fill_(0, torch.tensor([1]), 1.0),
        "probabilities": torch.full((14,), 0.8),
        "thresholds": torch.full((14,), 0.5),
    }
    return pick_regions(**(arguments | changes))


def one_map(*peaks: tuple[int, int, float], finding: int = 1) -> Tensor:
    maps = torch.zeros(14, GRID, GRID)
    for row, column, value in peaks:
        maps[finding, row, column] = value
    return maps


def test_one_peak_gives_its_cell_and_its_token() -> None:
    tokens = torch.randn(GRID * GRID, 6)
    (region,) = film(tokens=tokens)
    assert region.finding == 1
    assert region.box == (5 / 8, 2 / 8, 6 / 8, 3 / 8)
    assert region.score == pytest.approx(0.8)
    torch.testing.assert_close(region.token, tokens[2 * GRID + 5])


def test_the_token_is_the_windows_mean_weighted_by_the_map_and_the_box_bounds_what_is_strong() -> None:
    maps = one_map((2, 5, 4.0), (2, 4, 3.5), (3, 5, 1.0), (2, 7, 2.0))
    tokens = torch.randn(GRID * GRID, 6)
    (region,) = film(maps=maps, tokens=tokens)
    grid = tokens.view(GRID, GRID, 6)
    expected = (4.0 * grid[2, 5] + 3.5 * grid[2, 4] + 1.0 * grid[3, 5]) / 8.5
    torch.testing.assert_close(region.token, expected)
    assert region.box == (4 / 8, 2 / 8, 6 / 8, 3 / 8)  # the cells at 3/4 of the maximum or more
    (single,) = film(maps=maps, tokens=tokens, window=1, per_finding=1)
    torch.testing.assert_close(single.token, grid[2, 5])


@pytest.mark.parametrize("label", [0.0, -1.0, float("nan")])
def test_only_labelled_positive_and_predicted(label: float) -> None:
    labels = torch.full((14,), label)
    assert film(labels=labels) == []
    labels[1] = 1.0
    assert len(film(labels=labels)) == 1
    assert film(thresholds=torch.full((14,), 0.8)) == []  # predicted *above* the threshold
    assert film(probabilities=torch.full((14,), 0.1)) == []


def test_no_finding_is_off_by_default() -> None:
    labels = torch.zeros(14)
    labels[NO_FINDING] = 1.0
    maps = one_map((0, 0, 1.0), finding=NO_FINDING)
    assert film(maps=maps, labels=labels) == []
    assert [region.finding for region in film(maps=maps, labels=labels, no_finding=True)] == [NO_FINDING]


def test_near_duplicates_weak_peaks_and_surplus_are_dropped() -> None:
    maps = one_map((1, 1, 4.0), (1, 3, 3.9), (6, 6, 3.2), (6, 1, 3.5), (4, 4, 2.9))
    regions = film(maps=maps)
    # (1, 3) is the neighbour of a stronger window, (4, 4) under 3/4 of the maximum
    assert [(r.box[1] * GRID, r.box[0] * GRID) for r in regions] == [(1, 1), (6, 1), (6, 6)]
    assert [round(r.score, 6) for r in regions] == [0.8, 0.7, 0.64]
    assert len(film(maps=maps, per_finding=2)) == 2
    assert len(film(maps=maps, window=1)) == 4
    assert len(film(maps=maps, window=1, share=0.5)) == 5


def test_a_shoulder_is_not_a_peak() -> None:
    row = torch.tensor([4.0, 3.9, 3.8, 3.7, 3.6, 3.5, 3.4, 3.3])
    maps = torch.zeros(14, GRID, GRID)
    maps[1, 3] = row
    assert len(film(maps=maps)) == 1


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-20, 1e20, float("nan"), float("inf")])
def test_a_map_that_shows_no_place_gives_no_region(value: float) -> None:
    maps = torch.full((14, GRID, GRID), value)
    assert film(maps=maps) == []
    assert not shows_place(maps).any()


def test_the_same_everywhere_but_for_rounding_is_flat() -> None:
    noise = torch.rand(14, GRID, GRID, generator=torch.Generator().manual_seed(0))
    assert film(maps=0.3 + 1e-7 * noise) == []
    assert film(maps=0.3 + 1e-3 * noise)  # faint, and a place all the same


def test_one_broken_value_costs_its_own_finding_alone() -> None:
    maps = one_map((2, 5, 4.0)) + one_map((1, 1, 1.0), finding=4)
    maps[4, 7, 7] = torch.nan
    labels = torch.zeros(14).index_fill_(0, torch.tensor([1, 4]), 1.0)
    assert [region.finding for region in film(maps=maps, labels=labels)] == [1]


def test_equal_peaks_come_in_reading_order() -> None:
    regions = film(maps=one_map((6, 1, 4.0), (1, 6, 4.0), (1, 1, 4.0)), per_finding=2)
    assert [(r.box[1] * GRID, r.box[0] * GRID) for r in regions] == [(1, 1), (1, 6)]


def test_boxes_move_with_the_tokens_and_stay_on_the_film() -> None:
    (region,) = film(cell_shift=-0.5)
    assert region.box == (4.5 / 8, 1.5 / 8, 5.5 / 8, 2.5 / 8)
    (corner,) = film(maps=one_map((0, 7, 1.0)), cell_shift=-0.5)
    assert corner.box == (6.5 / 8, 0.0, 7.5 / 8, 0.5 / 8)
    torch.testing.assert_close(region.token, film()[0].token)


def test_any_grid_and_scale() -> None:
    maps = torch.zeros(14, 3, 5)
    maps[1, 2, 4] = 1e-6
    (region,) = film(maps=maps, tokens=torch.randn(15, 2))
    assert region.box == pytest.approx((4 / 5, 2 / 3, 1.0, 1.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maps": torch.zeros(13, 8, 8)}, r"maps must be \[14 gh gw\]"),
        ({"tokens": torch.zeros(63, 6)}, r"tokens must be \[64 q\]"),
        ({"labels": torch.zeros(13)}, r"labels must be \[14\]"),
        ({"window": 2}, "window"),
        ({"share": 0.0}, "share"),
        ({"per_finding": 0}, "per_finding"),
        ({"maps": one_map((0, 0, -1.0), finding=8)}, "map of Pneumothorax"),
    ],
)
def test_bad_input(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        film(**changes)
