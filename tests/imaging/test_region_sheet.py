from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ammrg.imaging.region_sheet import CELL, COLUMNS, KNOWN, LINE, REGION, SheetCell, draw_region_sheet


def test_boxes_stand_where_they_are_on_the_film(tmp_path: Path) -> None:
    film = np.full((50, 100), 90, np.uint8)  # twice as wide as high: aspect is kept
    cells = [SheetCell(film, (0.5, 0.5, 1.0, 1.0), [(0.0, 0.0, 0.25, 0.5)], f"0.9 s{i}") for i in range(COLUMNS + 1)]
    path = draw_region_sheet("Edema", cells, "note", tmp_path / "deep" / "edema.png")
    page = np.asarray(Image.open(path))
    assert page.shape == (2 * (CELL + LINE) + 2 * LINE + 6, COLUMNS * CELL, 3)
    for place in (1, COLUMNS):
        left, top = place % COLUMNS * CELL, place // COLUMNS * (CELL + LINE) + LINE + 3
        cell = page[top : top + 111, left : left + 222]
        red = np.argwhere((cell == REGION).all(-1))
        blue = np.argwhere((cell == KNOWN).all(-1))
        for found, first, last in ((red, (55, 111), (110, 221)), (blue, (0, 0), (54, 55))):
            assert np.abs(found.min(0) - first).max() <= 1
            assert np.abs(found.max(0) - last).max() <= 1
    assert list(path.parent.iterdir()) == [path]
