"""How cost grows: exponents are recovered, the page shows the kept result."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import growth
from benchmarks.growth import Cost, fitted
from benchmarks.table import RESULTS


@pytest.mark.parametrize(("exponent", "start"), [(1.0, 3.0), (2.0, 0.5), (0.0, 0.0)])
def test_an_exponent_is_found_beside_the_cost_of_starting(exponent: float, start: float) -> None:
    cost = Cost("c", "studies", (100, 200, 400), 1, lambda size: start + (0 if size == 1 else 0.01 * size**exponent))
    row = fitted(cost)
    assert row["exponent"] == pytest.approx(exponent, abs=1e-6)
    assert row["far_s"] == pytest.approx(start + 0.01 * 1e6**exponent)


def test_durations_read_well() -> None:
    assert [growth.duration(value) for value in (0.0123, 1.5, 90.0, 7200.0)] == ["12.3 ms", "1.5 s", "90 s", "2 h"]
    assert growth.duration(600) == "10 min"


def test_the_page_has_the_table_and_the_plots_of_the_kept_result(tmp_path: Path) -> None:
    page = tmp_path / "scaling.md"
    page.write_text(growth.PAGE.read_text())
    growth.draw_all(page)
    assert page.read_text() == growth.PAGE.read_text(), "python -m benchmarks.growth --draw writes it anew"
    rows = json.loads((RESULTS / "growth.json").read_text())["cases"]
    assert {row["axis"] for row in rows} == set(growth.FAR)
    for axis in growth.FAR:
        drawn = f"scaling_{axis}.svg"
        assert f"({drawn})" in page.read_text()
        assert (growth.DOCS / drawn).exists()
        assert (tmp_path / drawn).read_text().startswith("<?xml")


@pytest.mark.slow
def test_every_cost_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert growth.main(["--quick"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {row["axis"] for row in result["cases"]} == set(growth.FAR)
    assert all(seconds > 0 for row in result["cases"] for seconds in row["seconds"])
