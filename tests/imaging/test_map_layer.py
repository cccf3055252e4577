"""A map as a layer lies where the drawn page has it: over its cells, moved by the encoder's shift."""

from __future__ import annotations

import numpy as np
import pytest

from ammrg.imaging.map_layer import SIDE, map_layer


def heat(row: int, column: int) -> np.ndarray:
    found = np.zeros((4, 8), np.float32)
    found[row, column] = 3.0
    return found


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_strongest_cell_is_the_most_opaque_at_its_peak(shift: float) -> None:
    layer = map_layer(heat(1, 6), shift)
    assert layer is not None
    assert layer.pixels.shape == (SIDE, SIDE, 4)
    assert layer.peak == pytest.approx(((6.5 + shift) / 8, (1.5 + shift) / 4))
    rows, columns = np.nonzero(layer.pixels[..., 3] > 220)
    assert columns.mean() / SIDE == pytest.approx(layer.peak[0], abs=0.02)
    assert rows.mean() / SIDE == pytest.approx(layer.peak[1], abs=0.02)
    assert layer.pixels[..., 3].max() > 240


def test_where_the_map_is_zero_the_film_is_seen() -> None:
    layer = map_layer(heat(0, 0), 0.0)
    assert layer is not None
    assert not layer.pixels[SIDE // 2 :, SIDE // 2 :, 3].any()


@pytest.mark.parametrize("flat", [0.0, 0.7])
def test_a_map_that_shows_no_place_is_no_layer(flat: float) -> None:
    assert map_layer(np.full((4, 8), flat, np.float32), 0.0) is None
