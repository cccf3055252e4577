"""The published patches, against their definition step by step in numpy and OpenCV."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch

from ammrg.findings import NO_FINDING
from ammrg.memory.patches import pick_patches
from ammrg.memory.regions import Region


def pick(maps: torch.Tensor, **changes: Any) -> list[Region]:
    arguments: dict[str, Any] = {
        "tokens": torch.arange(49.0)[:, None].expand(-1, 3),
        "labels": torch.zeros(14).index_fill_(0, torch.tensor([1]), 1.0),
        "probabilities": torch.full((14,), 0.4),
        "thresholds": torch.full((14,), 0.5),
    }
    return pick_patches(maps, **(arguments | changes))


def random_maps(seed: int) -> torch.Tensor:
    return torch.rand(14, 7, 7, generator=torch.Generator().manual_seed(seed)).square() * 3


@pytest.mark.parametrize("seed", range(5))
def test_by_the_definition(seed: int) -> None:
    maps = random_maps(seed)
    heat = maps[1].numpy()
    drawn = cv2.resize((heat - heat.min()) / (heat.max() - heat.min()), (224, 224), interpolation=cv2.INTER_LINEAR)
    means = {(r, c): drawn[r * 16 : r * 16 + 16, c * 16 : c * 16 + 16].mean() for r in range(14) for c in range(14)}
    expected = sorted((place for place, mean in means.items() if mean > 0.75), key=lambda place: -means[place])[:6]
    found = pick(maps)
    assert [(round(r.box[1] * 14), round(r.box[0] * 14)) for r in found] == expected
    assert expected
    for region, (row, column) in zip(found, expected, strict=True):
        assert region.finding == 1
        assert region.score == pytest.approx(0.4 * means[row, column], abs=1e-4)
        assert region.token[0] == row // 2 * 7 + column // 2  # the cell of the 7 x 7 grid that the patch lies in
        assert np.allclose(np.diff(np.reshape(region.box, (2, 2)), axis=0), 1 / 14)


def test_labels_alone_decide_unless_told_and_no_finding_counts() -> None:
    assert pick(random_maps(0))
    assert not pick(random_maps(0), predicted_only=True)
    assert pick(random_maps(0), predicted_only=True, probabilities=torch.full((14,), 0.6))
    healthy = torch.zeros(14)
    healthy[NO_FINDING] = 1.0
    assert {region.finding for region in pick(random_maps(0), labels=healthy)} == {NO_FINDING}
    assert not pick(random_maps(0), labels=healthy, no_finding=False)


def test_boxes_move_with_the_tokens() -> None:
    plain, moved = pick(random_maps(0)), pick(random_maps(0), cell_shift=-0.25)
    for one, other in zip(plain, moved, strict=True):
        assert other.box == pytest.approx([max(0.0, edge - 0.25 / 7) for edge in one.box])


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 1e20, float("nan"), float("inf")])
def test_a_map_that_shows_no_place_has_no_patch(value: float) -> None:
    maps = torch.full((14, 7, 7), value)
    assert not pick(maps)
    maps[0, 0, 0] = 2.0  # of another finding
    assert not pick(maps)


def test_a_map_that_is_flat_but_for_rounding_has_no_patch() -> None:
    noise = torch.rand(14, 7, 7, generator=torch.Generator().manual_seed(0))
    assert not pick(0.3 + 1e-7 * noise)
    assert pick(0.3 + 1e-3 * noise)


def test_equal_patches_come_in_reading_order() -> None:
    maps = torch.zeros(14, 7, 7)
    maps[1, 3:5, 2:6] = 1.0
    places = [(round(r.box[1] * 14), round(r.box[0] * 14)) for r in pick(maps, per_finding=8)]
    assert places[0] == (7, 5)
    assert places == sorted(places)


def test_predicted_means_above_the_threshold() -> None:
    assert not pick(random_maps(0), predicted_only=True, probabilities=torch.full((14,), 0.5))


@pytest.mark.parametrize("changes", [{"side": 100}, {"patch": 0}, {"least": 1.0}, {"per_finding": 0}])
def test_bad_settings(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be a multiple"):
        pick(random_maps(0), **changes)
