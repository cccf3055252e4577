"""Output of a description: panel.png, report.html and report.json in a folder, and a table on the screen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ammrg.atomic import PRIVATE, write_json
from ammrg.imaging.panel import draw_case
from ammrg.inference.case_html.writing import write_case_html
from ammrg.inference.description import Description
from ammrg.inference.printed_words import HEADING
from ammrg.text.shown_places import shown_place
from ammrg.thresholds import figures, is_predicted

REPORT, PANEL, PAGE = "report.json", "panel.png", "report.html"


def write_description(description: Description, folder: Path) -> tuple[Path, Path, Path]:
    """Write ``panel.png``, ``report.html`` and then ``report.json``, for their owner alone, and return their paths.

    Each is written atomically, so a folder with a report.json is complete.
    """
    for left_over in folder.glob(".*.partial"):  # of a process that was killed
        left_over.unlink(missing_ok=True)
    panel = draw_case(description.page, folder / PANEL, PRIVATE)
    page = write_case_html(description, folder / PAGE)
    write_json(folder / REPORT, description.as_json(), PRIVATE)
    return panel, page, folder / REPORT


def written_before(folder: Path, model: str, inputs: str) -> dict[str, Any] | None:
    """Return the content of a folder's report.json where the same model wrote it of the same films; else None.

    Args:
        folder: of the study.
        model: fingerprint of the model; empty = not known, and then nothing counts as the same.
        inputs: fingerprint of films, projections and indication.
    """
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        same = report["made_from"] == {"model": model, "inputs": inputs}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = all((folder / name).is_file() for name in (PANEL, PAGE))
    return report if same and model and whole else None


def print_description(description: Description, *files: Path, is_report_printed: bool = False) -> None:
    """Print a description, the report first unless it is printed, and the paths of its files."""
    console = Console()
    # Texts from models and memories are printed as they are: brackets in them are not markup.
    if not is_report_printed:
        console.print(HEADING, style="bold")
        console.print(description.report, markup=False, highlight=False)
    if description.operating_note:
        console.print(description.operating_note, style="bold", markup=False, highlight=False)
    for warning in description.warnings:
        console.print(warning, style="bold red", markup=False, highlight=False)
    console.print()
    console.print(_findings_table(description))
    for name, lines in (("reasons", description.page.reasons), ("similar cases", description.page.similar)):
        if lines:
            console.print(f"\n{name}", style="bold")
            console.print("\n".join(lines), markup=False, highlight=False)
    console.print(f"\n{description.memory.sentence}", markup=False, highlight=False)
    console.print("\nfilms", style="bold")
    for view in description.views:
        read = "" if view.is_read else "; not read: this model reads frontal films"
        console.print(f"{view.path}: {view.projection} ({view.why}){read}", markup=False, highlight=False)
    console.print("\n" + "\n".join(map(str, files)), markup=False, highlight=False, soft_wrap=True)
    for said in description.background:
        console.print(said, markup=False, highlight=False)
    console.print(description.notice, style="red")


def _findings_table(description: Description) -> Table:
    table = Table(title="findings", title_justify="left")
    for column in ("finding", "probability", "threshold", "", "place"):
        table.add_column(column, justify="right" if column in ("probability", "threshold") else "left")
    for name, value in description.findings.items():
        threshold = description.thresholds[name]
        present = is_predicted(value, threshold)
        place = shown_place(description.places.get(name, ()))
        row = (name, *figures(value, threshold), "present" if present else "", place)
        table.add_row(*row, style="bold" if present else "dim")
    return table
