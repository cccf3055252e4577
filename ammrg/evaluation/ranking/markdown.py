"""A ranking as Markdown."""

from __future__ import annotations

import re

from ammrg.evaluation.ranking.wording import Cell, Ranking, Table


def markdown(ranking: Ranking, notice: str) -> str:
    """The page ``ranking.md``."""
    parts = [f"# {escaped(ranking.title)}", _table(ranking.main), escaped(ranking.main.note)]
    parts += [f"- {escaped(sentence)}" for sentence in ranking.sentences]
    for name, alarms in ranking.alarms.items():
        parts += [f"### Alarms of {escaped(name)}", *(f"- {escaped(alarm)}" for alarm in alarms)]
    for table in ranking.groups:
        parts += [f"## {escaped(table.title)}", _table(table), escaped(table.note)]
    return "\n\n".join([*parts, f"> {escaped(notice)}"]) + "\n"


def escaped(text: str) -> str:
    """The text with its marks as plain characters, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", " ".join(text.split()))


def _table(table: Table) -> str:
    lines = [("system", *map(escaped, table.columns)), ("---",) * (1 + len(table.columns))]
    lines += [(escaped(row.label), *map(_cell, row.cells)) for row in table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: Cell) -> str:
    value = f"**{cell.value}**" if cell.mark == "best" else f"{cell.value}†" if cell.mark == "close" else cell.value
    lines = [f"{value} {cell.interval}".strip(), f"rank {cell.rank}" if cell.rank else "", cell.below]
    return "<br>".join(filter(None, lines))
