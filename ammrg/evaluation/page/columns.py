"""The columns of the page's tables: each kind of metric has a table of its own, so that none is wider than a screen."""

from __future__ import annotations

from ammrg.evaluation.box_table import BOX_COLUMNS
from ammrg.evaluation.faithfulness_table import FAITHFULNESS_COLUMNS
from ammrg.evaluation.invented_table import INVENTED_COLUMNS
from ammrg.evaluation.location_table import LOCATION_COLUMNS
from ammrg.evaluation.score_table import ALL_COLUMNS, COLUMNS
from ammrg.metrics.location import CHANCE

PAGE_COLUMNS = {**ALL_COLUMNS, **{f"{key}{CHANCE}": "chance" for key in (*LOCATION_COLUMNS, *BOX_COLUMNS)}}
"""Metric of the page's tables -> its label; each measure of places is beside its chance."""
KINDS = {
    "words of the reports": [key for key in COLUMNS if not key.startswith("clinical_")],
    "findings": [key for key in COLUMNS if key.startswith("clinical_")],
    "side and level of findings": [each for key in LOCATION_COLUMNS for each in (key, f"{key}{CHANCE}")],
    "side and level of findings, by the boxes": [each for key in BOX_COLUMNS for each in (key, f"{key}{CHANCE}")],
    "what one film cannot show (less is better)": [*INVENTED_COLUMNS],
    "what the network found, in the reports": [*FAITHFULNESS_COLUMNS],
}
"""Kind of metric -> its keys."""


def page_columns() -> list[dict[str, str]]:
    """``{key, label, kind}`` of each column, in the order of the tables."""
    return [{"key": key, "label": PAGE_COLUMNS[key], "kind": kind} for kind, keys in KINDS.items() for key in keys]
