"""The tables of docs/evaluation.md whose figures are counted by hand."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs" / "evaluation.md"


def cells(header: str) -> list[list[str]]:
    """The cells of each row of the table whose first line begins with ``header``."""
    _, _, after = DOCS.read_text(encoding="utf-8").partition(header)
    rows = after.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def text() -> str:
    """The whole page on one line."""
    return " ".join(DOCS.read_text(encoding="utf-8").split())
