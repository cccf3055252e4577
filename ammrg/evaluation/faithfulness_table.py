"""The tables of faithfulness: what reports affirm, beside the findings table of the network that wrote them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from ammrg.evaluation.predictions import GROUPS
from ammrg.evaluation.verdicts import protocols_of, short
from ammrg.metrics.faithfulness import KEYS

FAITHFULNESS_COLUMNS = {"said_f1": "said F1", "said_missing": "said missing", "said_invented": "said invented"}
"""The measures of faithfulness in tables, which do not depend on the protocol. Less is better, except for the F1."""
_PARTS = ("found", "said", "both", "denied")


def faithfulness_tables(scores: Mapping[str, Any]) -> list[Table]:
    """A table of systems and one of findings; none if no system has a findings table.

    Args:
        scores: the contents of scores.json.
    """
    counts = scores["faithfulness"]
    found = []
    if not all(each["absent"] for each in counts.values()):
        found.append(_systems(scores))
    if not counts["ours"]["absent"]:
        found.append(_findings(counts["ours"]["findings"], scores["meta"]["labeler"]))
    return found


def _systems(scores: Mapping[str, Any]) -> Table:
    first, counts = protocols_of(scores)[0], scores["faithfulness"]
    table = Table(
        title="faithfulness: do reports say what their network found?",
        pad_edge=False,
    )
    table.add_column("reports", overflow="fold")
    for column in (*_PARTS, *FAITHFULNESS_COLUMNS.values()):
        table.add_column(column, justify="right", no_wrap=True)

    def add(label: str, name: str, values: Mapping[str, Any]) -> None:
        numbers = ["-" if counts[name]["absent"] else str(counts[name][part]) for part in _PARTS]
        table.add_row(label, *numbers, *(short(values[key]["value"] if key in values else None) for key in KEYS))

    add("[bold]ours[/bold]", "ours", scores[first])
    if not counts["ours"]["absent"] and scores[first]["bleu_1"]["low"] is not None:
        for label, end in (("  95% from", "low"), ("  95% to", "high")):
            cells = (f"[dim]{short(scores[first][key][end])}" for key in KEYS)
            table.add_row(f"[dim]{label}", *("" for _ in _PARTS), *cells)
    for group in (*GROUPS, "against"):
        for name, values in scores[group].items():
            if counts[f"{group}/{name}"]["absent"]:
                continue
            label = f"against {name}" if group == "against" else name.replace("_", " ")
            add(f"  {escape(label)}", f"{group}/{name}", values[first])
    return table


def _findings(findings: Mapping[str, Mapping[str, Any]], labeler: str) -> Table:
    table = Table(
        title=f"faithfulness by finding; labeler: {escape(labeler)}",
        pad_edge=False,
    )
    table.add_column("finding", no_wrap=True)
    for column in ("found", "said", "missing", "of found", "invented", "of said", "denied"):
        table.add_column(column, justify="right")
    for name, row in findings.items():
        shares = {
            part: "-" if row[part] is None else f"{row[part]:.0%}" for part in ("missing_share", "invented_share")
        }
        cells = (row["found"], row["said"], row["missing"], shares["missing_share"], row["invented"])
        table.add_row(name, *map(str, cells), shares["invented_share"], str(row["denied"]))
    return table
