"""The table of recall: what the network recalls, beside what it might recall without looking at the film."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from ammrg.evaluation.recall_verdicts import KINDS
from ammrg.evaluation.verdicts import short, signed
from ammrg.metrics.recall import DEPTHS, PRECISIONS

COLUMNS = (
    "recalled",
    "queries",
    "different first",
    "commonest first",
    "judged",
    *(part for depth in DEPTHS for part in (f"right of first {depth}", "ours minus it")),
)


def recall_rows(scores: Mapping[str, Any]) -> list[list[str]]:
    """The cells of the table: a row for the network, and one for each baseline, of regions and of reports."""
    rows = []
    for kind in KINDS:
        if found := (scores["recall"] or {}).get(kind):
            rows.append([kind, *_cells(found, {})])
            rows += [
                [name.replace("_", " "), *_cells(each, each["difference"])] for name, each in found["baselines"].items()
            ]
    return rows


def recall_note(scores: Mapping[str, Any]) -> str:
    """Which pairs of study and finding are not judged; empty if nothing was recalled."""
    regions = (scores["recall"] or {}).get("regions")
    if not regions:
        return ""
    return (
        f"Regions are not judged for {regions['not_affirmed']} findings that the reference does not affirm, and for "
        f"{regions['no_place']} whose place is not known."
    )


def recall_table(scores: Mapping[str, Any]) -> Table | None:
    """The table of recall, with 95% intervals; None if nothing was recalled."""
    rows = recall_rows(scores)
    if not rows:
        return None
    table = Table(title="what the memories recall", caption=recall_note(scores), pad_edge=False)
    for column in COLUMNS:
        table.add_column(column.replace(" first", "\nfirst"), justify="left" if column == COLUMNS[0] else "right")
    for first, *cells in rows:
        own = first in KINDS
        table.add_row(f"[bold]{first}[/bold]" if own else f"  {escape(first)}", *cells)
    return table


def _cells(found: Mapping[str, Any], difference: Mapping[str, Any]) -> list[str]:
    cells = [str(found["queries"]), _share(found["distinct_first"]), _share(found["top_share"]), str(found["judged"])]
    for key in PRECISIONS:
        cells += [_share(found[key]), _gap(difference[key]) if key in difference else ""]
    return cells


def _share(row: Mapping[str, Any]) -> str:
    """``.846 (.812-.880)``; without the interval where there is none."""
    between = "" if row["low"] is None else f" ({short(row['low'])}-{short(row['high'])})"
    return f"{short(row['value'])}{between}"


def _gap(row: Mapping[str, Any]) -> str:
    """``+.350 (+.301 to +.402)``."""
    value, low, high = (signed(row[key]) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"
