"""The tables of the dial: what reports say at its settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks._markdown import markdown
from benchmarks.seeds import cell, short

KEYS = {
    "clinical_micro_recall_13_neg": "clinical micro recall (13)",
    "clinical_micro_precision_13_neg": "precision",
    "clinical_micro_f1_13_neg": "F1",
    "location_side_f1": "side F1",
    "cider": "CIDEr",
    "said_f1": "said F1",
}
WIDE = {"clinical_micro_recall_13_neg", "clinical_micro_precision_13_neg"}
"""The scores that are shown with their intervals."""


def scores_at(settings: Mapping[str, Mapping[str, Any]], *, stage1: bool = False) -> str:
    """A row for each setting, in their order.

    Args:
        settings: setting -> scores of the reports written at it.
        stage1: whether each has ``stage1``, the recall and precision of stage 1 on validation, which go first.
    """
    rows = []
    for setting in sorted(settings, key=float):
        case = settings[setting]
        first = [", ".join(short(case["stage1"][key]) for key in ("recall", "precision"))] if stage1 else []
        rows.append([setting, *first, *(cell(case.get(key), wide=key in WIDE) for key in KEYS)])
    return markdown(
        ["setting", *(["stage 1 on validation: recall, precision"] if stage1 else []), *KEYS.values()], rows
    )


def phantom(folder: Path) -> str:
    """The test studies' reports of the phantom at each setting."""
    found = json.loads((folder / "dial.json").read_text(encoding="utf-8"))["cases"]
    return scores_at({case["setting"]: case for case in found}, stage1=True)
