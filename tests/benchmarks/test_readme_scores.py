"""The scores on drawn films in README and docs/results.md are those of the kept seeds and of one run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def seeds(name: str) -> dict[str, dict[str, Any]]:
    text = (ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8")
    return {case["system"]: case for case in json.loads(text)["cases"] if "system" in case}


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[str, Any]]:
    return seeds("phantom_seeds")


ANOTHER_RUN = {
    "micro F1 (13)": ("ours", "clinical_micro_f1_13_neg", "micro F1"),
    "side F1": ("ours", "location_side_f1", "side F1"),
    "level F1": ("ours", "location_level_f1", None),
    "CIDEr": ("ours", "cider", "CIDEr"),
    "BLEU-4": ("ours", "bleu_4", None),
    "first region: different": ("regions, own", "distinct_first", None),
    "first region: the commonest": ("regions, own", "top_share", None),
    "first region: right": ("regions, own", "precision_at_1", None),
    "first report: different": ("reports, own", "distinct_first", None),
    "first report: the commonest": ("reports, own", "top_share", None),
    "first report: right": ("reports, own", "precision_at_1", None),
}
"""Row -> system and measure of the seeds, and the score of ``first_run.json``."""


def rows_under(heading: str, page: str) -> dict[str, dict[str, str]]:
    """The rows of the Markdown table whose first cell is the heading: first cell -> column -> cell."""
    lines = iter(page.splitlines())
    columns = next(line for line in lines if line.startswith(f"| {heading} |".replace("|  |", "| |")))
    names = [cell.strip() for cell in columns.strip("|").split("|")][1:]
    found: dict[str, dict[str, str]] = {}
    next(lines)
    for line in lines:
        if not line.startswith("|"):
            return found
        first, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        found[first] = dict(zip(names, cells, strict=True))
    return found


def agrees(cell: str, spread: list[float] | None) -> bool:
    """Whether a cell, ``.932`` or ``.932 [.922, .943]``, is the rounded mean, or mean, lowest and highest."""
    if spread is None:
        return cell == "-"
    numbers = [float(number) for number in re.findall(r"\d*\.\d+", cell)]
    shown = [round(number, 3) for number in spread]
    return numbers in ([shown[0]], shown)


@pytest.mark.parametrize("page", [README, RESULTS], ids=["README", "results"])
def test_the_scores_of_the_reports(measured: dict[str, dict[str, Any]], page: str) -> None:
    rows = rows_under("reports", page)
    for label, system in (("**ours**", "ours"), ("ours, films shuffled", "guards/images_shuffled")):
        for column, key in (("micro F1 (13)", "clinical_micro_f1_13_neg"), ("CIDEr", "cider")):
            assert agrees(rows[label][column], measured[system][key]), (label, column)


def test_what_was_recalled(measured: dict[str, dict[str, Any]]) -> None:
    rows = rows_under("recalled first", RESULTS)
    assert agrees(rows["random regions of the finding"]["right"], measured["regions, filtered"]["precision_at_1"])
    first = next(row for label, row in rows.items() if label.startswith("**reports**"))
    assert agrees(first["the commonest"], measured["reports, own"]["top_share"])


def test_the_same_seeds_beside_another_run(measured: dict[str, dict[str, Any]]) -> None:
    text = (ROOT / "benchmarks" / "results" / "first_run.json").read_text(encoding="utf-8")
    once = json.loads(text)["cases"][0]["scores"]
    rows = rows_under("", RESULTS.split("**Another run, another day.**")[1])
    assert ANOTHER_RUN.keys() == rows.keys()
    before = seeds("phantom_seeds_before")
    for label, (system, key, score) in ANOTHER_RUN.items():
        cells = rows[label]
        assert agrees(cells["three seeds, the build before"], before[system][key]), (label, cells, before[system][key])
        assert agrees(cells["three seeds"], measured[system][key]), (label, cells, measured[system][key])
        assert agrees(cells["seed 0 in a fresh clone"], [once[score]] * 3 if score else None), (label, cells)
