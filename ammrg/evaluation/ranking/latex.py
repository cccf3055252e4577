"""A ranking as LaTeX tables for the packages booktabs and graphicx."""

from __future__ import annotations

import re

from ammrg.evaluation.ranking.wording import Cell, Ranking, Row, Table

LAST_LATIN = "\u017f"
"""The last of the Latin letters that pdfLaTeX knows without further packages."""
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "–": "--",
    "[": "{[}",  # after a line break, a bare one would begin its option, and a bare star is one
    "*": "{*}",
    **{mark: rf"\{mark}" for mark in "&%$#_{}"},
}


def latex(ranking: Ranking, notice: str) -> str:
    """The file ``ranking.tex``, to be read with the command ``input``: one ``table*`` for each table."""
    head = f"% {' '.join(notice.split())}\n% Needs \\usepackage{{booktabs,graphicx}}.\n"
    body = "\n".join(map(_table, (ranking.main, *ranking.groups)))
    return head + _engine(body) + body


def _engine(body: str) -> str:
    """A comment on the engine that the text needs; empty if any will do."""
    letters = "".join(sorted({letter for letter in body if letter > LAST_LATIN}))
    if not letters:
        return ""
    return (
        f"% pdfLaTeX stops at {letters}: use XeLaTeX or LuaLaTeX with a font that has these letters "
        "(\\usepackage{fontspec}\\setmainfont{NAME}).\n"
    )


def escaped(text: str) -> str:
    """The text with LaTeX's special characters as plain ones, on one line."""
    return re.sub(r"[\\~^<>†‡–\[*&%$#_{}]", lambda found: _SPECIAL[found.group()], " ".join(text.split()))


def _table(table: Table) -> str:
    lines = [
        r"\begin{table*}",
        r"\centering\small",
        rf"\caption{{{escaped(table.title)}. {escaped(table.note)}}}",
        r"\resizebox{\textwidth}{!}{%",  # values with intervals in six columns are wider than a page
        rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}",
        r"\toprule",
        _line("system", [escaped(column) for column in table.columns]),
        r"\midrule",
        *(line for row in table.rows for line in _lines(row)),
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def _lines(row: Row) -> list[str]:
    """A row's values, then its ranks and its differences, as far as it has any."""
    lines = [_line(escaped(row.label), [_value(cell) for cell in row.cells])]
    for name, texts in (
        ("rank", [escaped(cell.rank) for cell in row.cells]),
        ("minus the best", [escaped(cell.below).replace("-", "$-$") for cell in row.cells]),
    ):
        if any(texts):
            lines.append(_line(rf"\quad {name}", texts))
    return lines


def _value(cell: Cell) -> str:
    value = escaped(cell.value)
    value = rf"\textbf{{{value}}}" if cell.mark == "best" else rf"{value}\dag{{}}" if cell.mark == "close" else value
    return f"{value} {escaped(cell.interval)}".strip()


def _line(label: str, cells: list[str]) -> str:
    return rf"{' & '.join([label, *cells])} \\"
