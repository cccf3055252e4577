"""The table of ``docs/stage1_measured.md`` on queries that stand in each other's place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks._markdown import markdown
from benchmarks.seeds import cell, short

METHODS = {"attention": "attention of the query", "hirescam": "HiResCAM", "evidence": "evidence", "gradcam": "Grad-CAM"}
"""Method of :mod:`ammrg.maps` -> its name in the table."""


def queries(folder: Path) -> str:
    """How often each map has its peak on its finding, and what another query in a query's place takes."""
    (case,) = json.loads((folder / "queries.json").read_text(encoding="utf-8"))["cases"]
    swaps: Mapping[str, Any] = case["swaps"]
    rows = [[f"peak on the finding: {name}", cell(case["peaks"][method])] for method, name in METHODS.items()]
    rows += [
        ["the same of the finding's mean evidence over all films", cell(case["mean_map"])],
        ["AUROC of a finding, mean", short(swaps["auroc"])],
        ["another query takes of it, mean", short(swaps["mean_drop"])],
        ["pairs in which it takes more than .05", short(swaps["share_broken"])],
        ["other findings' AUROC changes by at most", short(swaps["others_move_at_most"])],
    ]
    return markdown([f"{case['studies']} {case['split']} studies", case["run"]], rows)
