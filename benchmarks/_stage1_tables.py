"""The tables of ``docs/transfer.md`` on pretrained eyes, from results of :mod:`benchmarks.stage1`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._markdown import markdown
from benchmarks._seed_tables import interval
from benchmarks.seeds import cell

Case = Mapping[str, Any]


def cases(folder: Path, name: str) -> Sequence[Case]:
    """The kept comparisons."""
    found: Sequence[Case] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["cases"]
    return found


def difference(case: Case) -> str:
    """Ours minus the reference; bold where the interval lies above 0."""
    found = interval(case["difference"])
    return f"**{found}**" if round(case["difference"]["low"], 3) > 0 else found


def of(case: Case) -> tuple[str, str]:
    """Which studies and findings a mean is over."""
    return f"{case['studies']} ({case['number']})", f"{case['findings']} with >= {case['least_positives']} positives"


def references(folder: Path) -> str:
    """Best and last epochs, each beside the plain references."""
    rows = [
        [*of(best), cell(best["ours"]), difference(best), cell(last["ours"]), difference(last)]
        for best, last in zip(cases(folder, "stage1_best"), cases(folder, "stage1_last"), strict=True)
    ]
    minus = "minus plain reference"
    return markdown(["studies", "findings", "best epochs", minus, "last epochs", minus], rows)


def chain(folder: Path) -> str:
    """Pretrained eyes beside those trained from scratch along the whole chain, by best and by last epochs."""
    rows = [
        [*of(best), *(each for case in (best, last) for each in (cell(case["reference"]), difference(case)))]
        for best, last in zip(cases(folder, "stage1_chain_best"), cases(folder, "stage1_chain_last"), strict=True)
    ]
    minus = "pretrained eyes minus these"
    return markdown(["studies", "findings", "chain, best epochs", minus, "chain, last epochs", minus], rows)
