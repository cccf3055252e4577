"""Output of a description: report.json and panel.png in a folder, and a table on the screen."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from ammrg.atomic import write_json
from ammrg.imaging.panel import draw_case
from ammrg.inference.description import Description
from ammrg.thresholds import is_predicted


def write_description(description: Description, folder: Path) -> tuple[Path, Path]:
    """Write ``folder/panel.png`` and ``folder/report.json``, and return their paths."""
    report = folder / "report.json"
    write_json(report, description.as_json())
    return draw_case(description.page, folder / "panel.png"), report


def print_description(description: Description, *files: Path) -> None:
    """Print a description and the paths of its files."""
    console = Console()
    console.print(_findings_table(description))
    # Texts from models and memories are printed as they are: brackets in them are not markup.
    console.print("\nreport", style="bold")
    console.print(description.report, markup=False, highlight=False)
    for warning in description.warnings:
        console.print(warning, style="bold red", markup=False, highlight=False)
    console.print("\nretrieved", style="bold")
    console.print("\n".join(description.page.retrieved), markup=False, highlight=False)
    console.print("\n" + "\n".join(map(str, files)), markup=False, highlight=False, soft_wrap=True)
    console.print(description.trained_on, markup=False, highlight=False)
    note = description.distance
    console.print(note.sentence, style="bold red" if note.warns else None, markup=False, highlight=False)
    console.print(description.notice, style="red")


def _findings_table(description: Description) -> Table:
    table = Table(title="findings", title_justify="left")
    for column in ("finding", "probability", "threshold", "", "place"):
        table.add_column(column, justify="right" if column in ("probability", "threshold") else "left")
    for name, value in description.findings.items():
        threshold = description.thresholds[name]
        present = is_predicted(value, threshold)
        place = " ".join(description.places.get(name, ()))
        row = (name, f"{value:.2f}", f"{threshold:.2f}", "present" if present else "", place)
        table.add_row(*row, style="bold" if present else "dim")
    return table
