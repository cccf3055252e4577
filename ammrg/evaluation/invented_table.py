"""The table of what reports invent: change since an earlier film, sizes, distances; beside the references' shares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from ammrg.evaluation.predictions import GROUPS
from ammrg.evaluation.verdicts import protocols_of, short
from ammrg.metrics.invented import KEYS, REFERENCES

INVENTED_COLUMNS = {key: key.replace("_", " ") for key in KEYS}
"""The shares of reports in tables, which do not depend on the protocol. Less is better."""


def invented_table(scores: Mapping[str, Any]) -> Table:
    """The table of invented change, sizes and distances.

    Rows: the references, the reports (with the 95% interval under each value), baselines, guards, other files.
    Columns: the share of texts that speak of any of the kinds, and of each.
    """
    first = protocols_of(scores)[0]
    table = Table(title="share of texts that speak of what one film cannot show", pad_edge=False)
    table.add_column("texts", overflow="fold")
    for key in KEYS:
        table.add_column("any" if key == KEYS[0] else key.removeprefix("invented_"), justify="right", no_wrap=True)
    ours = scores[first]
    table.add_row("references", *(short(ours[f"{key}{REFERENCES}"]["value"]) for key in KEYS))
    table.add_row("[bold]ours[/bold]", *(short(ours[key]["value"]) for key in KEYS))
    if ours["bleu_1"]["low"] is not None:
        for label, end in (("  95% from", "low"), ("  95% to", "high")):
            table.add_row(f"[dim]{label}", *(f"[dim]{short(ours[key][end])}" for key in KEYS))
    for group in (*GROUPS, "against"):
        for name, values in scores[group].items():
            label = f"against {name}" if group == "against" else name.replace("_", " ")
            table.add_row(f"  {escape(label)}", *(short(values[first][key]["value"]) for key in KEYS))
    return table
