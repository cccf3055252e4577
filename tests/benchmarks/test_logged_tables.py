"""Tables that a page takes from the log of experiments have its figures."""

from __future__ import annotations

import re

import pytest

from tests.worked_table import DOCS, worked_rows

LOG = (DOCS.parent / "experiments" / "LOG.md").read_text(encoding="utf-8")
FIGURE = re.compile(r"\d*\.\d+|\d[\d,]*")
TABLES = [
    ("stage2", "| variant | micro F1 (13) | side F1 | first region right |", "Stage 2's ablation"),
    ("stage1_measured", "| variant | macro AUROC | macro F1 |", "Stage 1's ablation once more"),
]
"""Page, start of the table, and part of the title under which the log has it."""


def logged_rows(title: str) -> list[list[str]]:
    """The figures of each line of a table in the log."""
    (section,) = (part for part in re.split(r"^## ", LOG, flags=re.MULTILINE) if title in part.partition("\n")[0])
    return [FIGURE.findall(line) for line in section.splitlines() if line.startswith("|")]


@pytest.mark.parametrize(("page", "header", "title"), TABLES, ids=[page for page, *_ in TABLES])
def test_each_row_is_one_of_the_log(page: str, header: str, title: str) -> None:
    logged = logged_rows(title)
    rows = worked_rows(page, header)
    assert len(rows) > 2
    for name, *cells in rows:
        figures = [figure for cell in cells for figure in FIGURE.findall(cell)]
        assert figures, name
        assert any(in_order(figures, row) for row in logged), f"docs/{page}.md: {name} is not in the log"


def in_order(figures: list[str], row: list[str]) -> bool:
    """Whether a row has all figures, in their order, with others between them."""
    left = iter(row)
    return all(figure in left for figure in figures)


def test_a_changed_figure_is_noticed() -> None:
    assert in_order([".5", ".7"], [".5", ".6", ".7"])
    assert not in_order([".7", ".5"], [".5", ".6", ".7"])
    assert not in_order([".51"], [".5", ".6", ".7"])
