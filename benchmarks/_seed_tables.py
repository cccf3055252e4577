"""The tables of ``docs/results.md``, from the result that :mod:`benchmarks.seeds` prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._markdown import markdown
from benchmarks.seeds import COLUMNS, DIFFERENCES, short, shown

SAID = {
    "the side agrees, where both texts place a finding": ("ours", "location_side_agreement"),
    "the level agrees": ("ours", "location_level_agreement"),
    "said F1: the reports beside stage 1's own findings": ("ours", "said_f1"),
    "the side flips with the film": ("mirrored_follows", "value"),
    "macro AUROC of stage 1": ("stage 1", "auroc_macro"),
    "a positive finding's map has its peak in the box (15 px at 224)": ("stage 1", "pointing_game"),
}
Cases = Sequence[Mapping[str, Any]]


def cases(folder: Path) -> Cases:
    """The kept result of three seeds."""
    file = folder / "phantom_seeds.json"
    found: Cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
    if not any("pairs" in case for case in found):
        raise SystemExit(f"{file}: holds no differences in pairs; write it anew (python -m benchmarks.seeds RUN ...)")
    return found


def signed(number: float) -> str:
    """``+.155``, ``-.003``, ``.000``."""
    digits = short(abs(number))
    return digits if digits == ".000" else ("+" if number > 0 else "-") + digits


def interval(gap: Mapping[str, float] | None) -> str:
    """``+.155 [+.024, +.286]``, or a dash."""
    if gap is None:
        return "-"
    return f"{signed(gap['value'])} [{signed(gap['low'])}, {signed(gap['high'])}]"


def said(folder: Path) -> str:
    """What the reports say beside what they were told: mean [lowest, highest] of the seeds."""
    systems = {case["system"]: case for case in cases(folder) if "system" in case}
    return markdown(["", "three seeds"], [[label, shown(systems[name][key])] for label, (name, key) in SAID.items()])


def minus(other: str) -> Callable[[Path], str]:
    """A table of the differences from other reports of the same films, a row for each seed."""

    def made(folder: Path) -> str:
        rows = [case for case in cases(folder) if case.get("pairs") == f"ours minus {other}"]
        cells = [[row["run"], *(interval(row.get(key)) for key in DIFFERENCES)] for row in rows]
        return markdown(["run", *(COLUMNS[key] for key in DIFFERENCES)], cells)

    return made


def influenced(folder: Path) -> str:
    """How many reports a recalled case influences, beside how many random ones would."""
    rows = [case for case in cases(folder) if case.get("pairs") == "influenced"]
    heads = ["run", "reports that a recalled case influences", "with random cases it would be"]
    return markdown(heads, [[row["run"], short(row["value"]), short(row["chance"])] for row in rows])
