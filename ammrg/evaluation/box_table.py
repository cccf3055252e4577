"""The table of location against boxes: what the reports say of a place, and where it is on the film."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from ammrg.evaluation.figures import formatted
from ammrg.evaluation.predictions import GROUPS
from ammrg.evaluation.verdicts import protocols_of, short
from ammrg.metrics.location import ASPECTS, CHANCE

BOX_COLUMNS = {"box_side_f1": "side F1 by boxes", "box_level_f1": "level F1 by boxes"}
"""The measures against boxes in tables, which do not depend on the protocol."""


def box_table(scores: Mapping[str, Any]) -> Table | None:
    """The table of location against boxes; None without boxes.

    Rows: the reports, the references themselves, baselines, guards, other files. Columns: F1 and chance of side and
    level.
    """
    known = scores["boxes"]
    if known is None:
        return None
    table = Table(
        title=f"location against the boxes of {known['findings']} findings; left out: {known['unknown']} without a box",
        pad_edge=False,
    )
    table.add_column("reports", overflow="fold")
    for aspect in ASPECTS:
        for column in ("F1", "chance"):
            table.add_column(f"{aspect}\n{column}", justify="right", no_wrap=True)
    first = protocols_of(scores)[0]
    table.add_row("[bold]ours[/bold]", *_cells(scores[first]))
    of_references = [cell for aspect in ASPECTS for cell in (formatted(known[aspect]["references"]), "")]
    table.add_row("  references", *of_references)
    for group in (*GROUPS, "against"):
        for name, values in scores[group].items():
            label = f"against {name}" if group == "against" else name.replace("_", " ")
            table.add_row(f"  {escape(label)}", *_cells(values[first]))
    return table


def _cells(values: Mapping[str, Any]) -> list[str]:
    cells = []
    for aspect in ASPECTS:
        cells += [formatted(values[f"box_{aspect}_f1"]), short(values[f"box_{aspect}_f1{CHANCE}"]["value"])]
    return cells
