"""A ranking in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from ammrg.evaluation.ranking.wording import Cell, Ranking, Table


def print_ranking(ranking: Ranking, console: Console) -> None:
    """Print the tables and the sentences."""
    for table in (ranking.main, *ranking.groups):
        console.print(_table(table))
    for sentence in ranking.sentences:
        console.print(f"- {sentence}", highlight=False, markup=False)


def _table(table: Table) -> RichTable:
    shown = RichTable(title=escape(table.title), caption=escape(table.note), pad_edge=False, show_lines=True)
    shown.add_column("system", overflow="fold")
    for column in table.columns:
        shown.add_column(column, justify="right", no_wrap=True)
    for row in table.rows:
        shown.add_row(escape(row.label), *map(_cell, row.cells))
    return shown


def _cell(cell: Cell) -> str:
    value = {"best": f"[bold]{cell.value}[/bold]", "close": f"{cell.value}†"}.get(cell.mark, cell.value)
    lines = [value, escape(cell.interval), f"rank {escape(cell.rank)}" if cell.rank else "", escape(cell.below)]
    return "\n".join(filter(None, lines))
