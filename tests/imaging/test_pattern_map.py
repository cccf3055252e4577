from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ammrg.imaging.pattern_map import draw_pattern_map


def colours(path: Path) -> set[tuple[int, ...]]:
    picture = cv2.imread(str(path))
    assert picture is not None
    return {tuple(pixel) for pixel in picture.reshape(-1, 3).tolist()}


def test_each_finding_has_a_colour_and_queries_are_crosses(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
    names = ["Edema"] * 20 + ["Fracture"] * 20
    none = [False] * 40
    two = draw_pattern_map(points, names, none, [0.6, 0.2], "regions", tmp_path / "two.png")
    one = draw_pattern_map(points, ["Edema"] * 40, none, [0.6, 0.2], "regions", tmp_path / "deep" / "one.png")
    assert colours(two) - colours(one)
    again = draw_pattern_map(points, names, none, [0.6, 0.2], "regions", tmp_path / "again.png")
    assert again.read_bytes() == two.read_bytes()
    crossed = draw_pattern_map(points, names, [True, *none[1:]], [0.6, 0.2], "regions", tmp_path / "crossed.png")
    assert crossed.read_bytes() != two.read_bytes()
