"""A map as a layer lies where the drawn page has it: over its cells, moved by the encoder's shift."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from ammrg.imaging.map_layer import SIDE, map_layer
from ammrg.imaging.panel import PageFilm, draw_film


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


@pytest.mark.parametrize("shift", [-0.5, 0.5])
def test_a_moved_map_reaches_every_edge_of_the_film(shift: float) -> None:
    layer = map_layer(np.array([[1.0, 0.9], [0.9, 1.0]], np.float32), shift)
    assert layer is not None
    opaque = layer.pixels[..., 3]
    for edge in (opaque[0], opaque[-1], opaque[:, 0], opaque[:, -1]):
        assert edge.min() > 220


def test_where_the_map_is_zero_the_film_is_seen() -> None:
    layer = map_layer(heat(0, 0), 0.0)
    assert layer is not None
    assert not layer.pixels[SIDE // 2 :, SIDE // 2 :, 3].any()


@pytest.mark.parametrize("flat", [0.0, 0.7])
def test_a_map_that_shows_no_place_is_no_layer(flat: float) -> None:
    assert map_layer(np.full((4, 8), flat, np.float32), 0.0) is None


@pytest.mark.parametrize("shift", [-0.5, 0.5])
def test_the_drawn_map_reaches_every_edge_of_the_film(shift: float) -> None:
    axes = Figure().add_subplot()
    draw_film(axes, PageFilm(np.zeros((40, 30), np.uint8)), heat(1, 6), shift)
    _, drawn = axes.images
    left, right, lower, upper = drawn.get_extent()
    assert max(left, upper) <= 0
    assert min(right - 30, lower - 40) >= 0
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 30), (40, 0))
    inner = np.asarray(drawn.get_array())[1:-1, 1:-1]
    assert inner == pytest.approx(heat(1, 6) / 3)
    assert (right - left) / 10 == pytest.approx(30 / 8)  # as large as before, with a cell more on each side
