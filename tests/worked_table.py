"""Tables of the pages on scoring with examples that are worked by hand."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def worked_rows(page: str, header: str) -> list[list[str]]:
    """The cells of each row of the table of ``docs/page.md`` whose first line starts with ``header``."""
    _, found, after = (DOCS / f"{page}.md").read_text(encoding="utf-8").partition(header)
    assert found, f"docs/{page}.md has no table {header}"
    lines = after.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def prose(page: str) -> str:
    """The page with single spaces, so that a sentence is found wherever its lines break."""
    return " ".join((DOCS / f"{page}.md").read_text(encoding="utf-8").split())
