"""Tables of docs/evaluation.md with examples that are worked by hand."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs" / "evaluation.md"


def worked_rows(header: str) -> list[list[str]]:
    """The cells of each row of the table whose first line starts with ``header``."""
    _, found, after = DOCS.read_text(encoding="utf-8").partition(header)
    assert found, f"docs/evaluation.md has no table {header}"
    lines = after.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def prose() -> str:
    """The page with single spaces, so that a sentence is found wherever its lines break."""
    return " ".join(DOCS.read_text(encoding="utf-8").split())
