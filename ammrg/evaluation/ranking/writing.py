"""The files of a ranking: Markdown, CSV, LaTeX, a page, and the scores of each system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ammrg.atomic import write_atomically, write_json
from ammrg.evaluation.ranking.latex import latex
from ammrg.evaluation.ranking.long_table import long_table
from ammrg.evaluation.ranking.markdown import markdown
from ammrg.evaluation.ranking.ranked import Group
from ammrg.evaluation.ranking.wording import Ranking
from ammrg.notice import NOTICE
from ammrg.pages.page_file import render

PARTS = Path(__file__).parent
FORMS = ("ranking.md", "ranking.csv", "ranking.tex", "ranking.html")
"""Files of a ranking; the page is last, as it may be left out."""
SCORES = "scores"
"""Folder of the systems' scores."""


def write_ranking(
    folder: Path,
    ranking: Ranking,
    groups: Sequence[Group],
    baselines: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, Mapping[str, Any]],
    warned: Mapping[str, Sequence[str]],
    with_page: bool = True,
) -> list[Path]:
    """Write all files of a ranking, each atomically.

    Args:
        folder: is made if it does not exist.
        ranking: the tables.
        groups: that of all studies, then the others, for the CSV.
        baselines: name -> metric -> {value, low, high}.
        scores: system -> contents of its scores file.
        warned: system, or all -> the headings of the alarms on its texts, for the CSV.
        with_page: also write ``ranking.html``.

    Returns:
        The ranking's files; the scores are in the folder ``scores``.
    """
    pages = [page(ranking)] if with_page else []
    contents = [markdown(ranking, NOTICE), long_table(groups, baselines, warned), latex(ranking, NOTICE), *pages]
    texts = dict(zip(FORMS[: len(contents)], contents, strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    # the scores first: by them a folder is known as a ranking's
    for name, found in scores.items():
        write_json(folder / SCORES / f"{name}.json", found)
    for name, text in texts.items():
        write_atomically(folder / name, text.encode())
    return [folder / name for name in texts]


def page(ranking: Ranking) -> str:
    """The page ``ranking.html``, with its data, style and script inside."""
    tables = [
        {
            "title": table.title,
            "columns": table.columns,
            "rows": [{"label": row.label, "cells": [each._asdict() for each in row.cells]} for row in table.rows],
            "note": table.note,
        }
        for table in (ranking.main, *ranking.groups)
    ]
    words = {"sentences": ranking.sentences, "alarms": list(ranking.alarms.items())}
    data = {"title": ranking.title, "notice": NOTICE, "tables": tables, **words}
    return render(PARTS / "page.html", [PARTS / "page.css"], [PARTS / "page.js"], data)
