"""The table of location: how often reports put findings on the right side and level, beside chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from ammrg.evaluation.predictions import GROUPS
from ammrg.evaluation.verdicts import protocols_of, short
from ammrg.metrics.location import ASPECTS, CHANCE, PARTS

LOCATION_COLUMNS = {
    "location_side_agreement": "side agreement",
    "location_side_f1": "side F1",
    "location_level_agreement": "level agreement",
    "location_level_f1": "level F1",
}
"""The measures of location in tables, which do not depend on the protocol."""


def location_table(scores: Mapping[str, Any]) -> Table:
    """The table of location.

    Rows: the reports (with the 95% interval under each value), baselines, guards, other files. Columns, for side and
    level: pairs that both texts place, their share of the references' placed findings, agreement, F1, and chance.
    """
    table = Table(
        title="location, by the rule-based labeler; pairs: findings of studies that both texts affirm and place",
        pad_edge=False,
    )
    table.add_column("reports", overflow="fold")
    for aspect in ASPECTS:
        for column in ("pairs", "of placed", "agreement", "chance", "F1", "chance"):
            table.add_column(f"{aspect}\n{column}", justify="right", no_wrap=True)
    first = protocols_of(scores)[0]
    table.add_row("[bold]ours[/bold]", *_cells(scores["location"]["ours"], scores[first], "value"))
    if scores[first]["bleu_1"]["low"] is not None:
        for label, end in (("  95% from", "low"), ("  95% to", "high")):
            table.add_row(f"[dim]{label}", *(f"[dim]{cell}" for cell in _cells(None, scores[first], end)))
    for group in (*GROUPS, "against"):
        for name, values in scores[group].items():
            label = f"against {name}" if group == "against" else name.replace("_", " ")
            counts = scores["location"][f"{group}/{name}"]
            table.add_row(f"  {escape(label)}", *_cells(counts, values[first], "value"))
    return table


def _cells(counts: Mapping[str, Any] | None, values: Mapping[str, Any], end: str) -> list[str]:
    cells = []
    for aspect in ASPECTS:
        if counts is None:
            cells += ["", ""]
        else:
            covered = counts[aspect]["covered"]
            cells += [str(counts[aspect]["pairs"]), "-" if covered is None else f"{covered:.0%}"]
        for part in PARTS:
            cells += [short(values[f"location_{aspect}_{part}{suffix}"][end]) for suffix in ("", CHANCE)]
    return cells
