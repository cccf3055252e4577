"""A ranking in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as RichTable

from ammrg.evaluation.ranking.wording import Cell, Ranking, Table
from ammrg.notice import NOTICE

NAME_WIDTH = 24
"""Characters of a system's name that stay on one line."""
UNBOUND = 10_000
"""A width in characters that no table needs."""


def print_ranking(ranking: Ranking, console: Console) -> None:
    """Print the main table, the sentences, the alarms, the tables of groups and the notice.

    A table that is wider than the window keeps its figures whole; the window breaks its lines, and a file does not.
    """
    _print_table(ranking.main, console)
    for sentence in ranking.sentences:
        console.print(f"- {sentence}", highlight=False, markup=False)
    for name, alarms in ranking.alarms.items():
        console.print(f"alarms of {name}", style="bold red", highlight=False, markup=False)
        for alarm in alarms:
            console.print(f"- {alarm}", highlight=False, markup=False)
    for table in ranking.groups:
        _print_table(table, console)
    console.print(NOTICE, highlight=False)


def _print_table(table: Table, console: Console) -> None:
    shown = _table(table)
    needed = Measurement.get(console, console.options.update(max_width=UNBOUND), shown).maximum
    console.width = max(console.width, needed)
    console.print(shown)


def _table(table: Table) -> RichTable:
    shown = RichTable(title=escape(table.title), caption=escape(table.note), pad_edge=False, show_lines=True)
    shown.add_column("system", overflow="fold", max_width=NAME_WIDTH)
    for column in table.columns:
        shown.add_column(column, justify="right", no_wrap=True)
    for row in table.rows:
        shown.add_row(escape(row.label), *map(_cell, row.cells))
    return shown


def _cell(cell: Cell) -> str:
    value = {"best": f"[bold]{cell.value}[/bold]", "close": f"{cell.value}†"}.get(cell.mark, cell.value)
    lines = [value, escape(cell.interval), f"rank {escape(cell.rank)}" if cell.rank else "", escape(cell.below)]
    return "\n".join(filter(None, lines))
