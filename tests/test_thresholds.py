"""One rule for when a finding counts as predicted, and nobody who goes by another."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ammrg.imaging.panel import ABSENT, NORMAL, PRESENT, PageFilm, _draw_findings, draw_film
from ammrg.metrics.f1_threshold import between
from ammrg.thresholds import figures, is_predicted, rounded

ROOT = Path(__file__).parent.parent
OTHER_THINGS = {"metrics/protocols.py", "datamodules/studies.py"}  # counts of words; shares of studies


def test_on_the_threshold_is_not_above_it() -> None:
    below, above = 0.3 - 1e-9, 0.3 + 1e-9
    assert [is_predicted(value, 0.3) for value in (below, 0.3, above, float("nan"))] == [False, False, True, False]
    rows = torch.tensor([[0.2, 0.3], [0.4, 0.3], [float("nan"), 1.0]])
    assert is_predicted(rows, torch.tensor([0.3, 0.3])).tolist() == [[False, False], [True, False], [False, True]]
    assert not is_predicted(rows, torch.tensor(torch.inf)).any()


def test_rounding_for_a_file_never_crosses_the_threshold() -> None:
    assert rounded(0.123456789, 0.3) == 0.12346
    assert rounded(0.2999999, 0.3) == 0.3  # not above its threshold either
    assert rounded(0.3000001, 0.3) == 0.3000001
    draw = np.random.default_rng(0)
    for threshold in (0.0, 3e-6, 0.5, 0.99999988, np.float32(0.3).item()):
        for step in draw.normal(0, 1e-5, 200):
            value = float(np.float32(min(max(threshold + step, 0), 1)))
            assert is_predicted(rounded(value, threshold), threshold) == is_predicted(value, threshold)
            assert abs(rounded(value, threshold) - value) <= 5e-6


@pytest.mark.parametrize(
    ("probability", "threshold", "shown"),
    [
        (0.9, 0.4, ("0.90", "0.40")),
        (0.0213, 0.0198, ("0.021", "0.020")),
        (0.38412, 0.38409, ("0.38412", "0.38409")),
        (0.0198, 0.0213, ("0.020", "0.021")),
        (0.0249, 0.0251, ("0.02", "0.03")),
        (0.4, 0.4, ("0.40", "0.40")),
        (0.9, float("inf"), ("0.90", "inf")),
        (float("nan"), 0.4, ("nan", "0.40")),
        (1 - 2**-24, 1.0, ("0.9999999", "1.0000000")),
    ],
)
def test_a_reader_sees_which_of_two_figures_is_greater(
    probability: float, threshold: float, shown: tuple[str, str]
) -> None:
    assert figures(probability, threshold) == shown


def test_nobody_compares_with_a_threshold_by_another_rule() -> None:
    found = []
    for room in ("ammrg", "lightning_modules", "experiments", "callbacks", "datamodules"):
        for path in sorted((ROOT / room).rglob("*.py")):
            if path.name == "thresholds.py" or any(str(path).endswith(name) for name in OTHER_THINGS):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                ordered = isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Gt | ast.GtE | ast.Lt | ast.LtE)
                if ordered and "threshold" in ast.unparse(node):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert found == []


@pytest.mark.parametrize("low", [0.25, 0.5, 0.99999988])
def test_a_threshold_between_neighbouring_floats_tells_them_apart(low: float) -> None:
    """Saturated probabilities are neighbours: their middle is rounded to one of them."""
    first = torch.tensor(low)
    second = first.nextafter(torch.tensor(1.0))
    for pair in ((first, second), (second, second.nextafter(torch.tensor(2.0)))):
        values = torch.stack(pair)
        threshold = torch.tensor(between(*pair))
        assert is_predicted(values, threshold).tolist() == [False, True]


def test_the_drawn_page_goes_by_the_rule() -> None:
    axes = Figure().add_subplot()
    values = {"Edema": 0.3, "Fracture": 0.31, "No Finding": 0.31}
    page = SimpleNamespace(probabilities=values, thresholds=dict.fromkeys(values, 0.3))
    _draw_findings(axes, cast(Any, page))
    drawn = [to_hex(bar.get_facecolor()) for bar in axes.patches]  # from below: the last finding first
    assert drawn == [NORMAL, PRESENT, ABSENT]


@pytest.mark.parametrize(("value", "crosses"), [(0.0, 0), (1.0, 0), (float("nan"), 0), (None, 1)])
def test_a_map_that_shows_no_place_is_not_drawn(value: float | None, crosses: int) -> None:
    axes = Figure().add_subplot()
    heat = np.arange(16, dtype=np.float32).reshape(4, 4) if value is None else np.full((4, 4), value, np.float32)
    draw_film(axes, PageFilm(np.zeros((32, 32), np.uint8)), heat, 0.0)
    assert len(axes.lines) == crosses
    assert len(axes.images) == 1 + crosses
