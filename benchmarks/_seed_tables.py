"""The tables on drawn films of the README and ``docs/results.md``, from what :mod:`benchmarks.seeds` prints."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._markdown import markdown
from benchmarks.seeds import COLUMNS, DIFFERENCES, RECALL, short, shown

SYSTEMS = {
    "**ours**": "ours",
    "template of stage 1's findings and places": "baselines/stage1_template",
    "nearest by predicted findings": "baselines/nearest_findings",
    "nearest by image": "baselines/nearest_image",
    "best constant, by CIDEr": "baselines/best_constant_cider",
    "random training report": "baselines/random_training",
    "ours, films shuffled": "guards/images_shuffled",
    "ours, both memories off": "guards/memory_off",
    "ours, another patient's memories": "guards/memory_shuffled",
}
SCORES = (*DIFFERENCES[:2], "location_side_agreement", "location_level_f1", "cider", "bleu_4")
ONLY_IN_FULL = ("baselines/random_training", "guards/memory_off")
IN_SHORT = {label: name for label, name in SYSTEMS.items() if name not in ONLY_IN_FULL}
"""The rows of the README."""
RECALLED = {
    "**regions**, for each finding that stage 1 finds": "regions, own",
    "random regions of the finding": "regions, filtered",
    "regions of the nearest film": "regions, nearest_image",
    "**reports**, for each study": "reports, own",
    "random reports with the predicted findings": "reports, filtered",
    "reports of the nearest film": "reports, nearest_image",
}
RECALL_HEADS = ("different ones", "the commonest", "right", "right among five")
SAID = {
    "the side agrees, where both texts place a finding": ("ours", "location_side_agreement"),
    "the level agrees": ("ours", "location_level_agreement"),
    "said F1: the reports beside stage 1's own findings": ("ours", "said_f1"),
    "the side flips with the film": ("mirrored_follows", "value"),
    "macro AUROC of stage 1": ("stage 1", "auroc_macro"),
    "a positive finding's map has its peak in the box (15 px at 224)": ("stage 1", "pointing_game"),
}
Cases = Sequence[Mapping[str, Any]]


SEEDS, BEFORE = "phantom_seeds", "phantom_seeds_before"
"""The kept results of three seeds: of the present build, and of the last one that was also trained without memories."""


def cases(folder: Path, kept: str = SEEDS) -> Cases:
    """A kept result of three seeds."""
    file = folder / f"{kept}.json"
    found: Cases = json.loads(file.read_text(encoding="utf-8"))["cases"]
    if not any("pairs" in case for case in found):
        raise SystemExit(f"{file}: holds no differences in pairs; write it anew (python -m benchmarks.seeds RUN ...)")
    return found


def by_system(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The cases of systems, by name."""
    return {case["system"]: case for case in cases(folder) if "system" in case}


def signed(number: float) -> str:
    """``+.155``, ``-.003``, ``.000``."""
    digits = short(abs(number))
    return digits if digits == ".000" else ("+" if number > 0 else "-") + digits


def interval(gap: Mapping[str, float] | None) -> str:
    """``+.155 [+.024, +.286]``, or a dash."""
    if gap is None:
        return "-"
    return f"{signed(gap['value'])} [{signed(gap['low'])}, {signed(gap['high'])}]"


def scores_of(labels: Mapping[str, str], keys: Sequence[str]) -> Callable[[Path], str]:
    """A table of the reports' scores: mean [lowest, highest] of the seeds."""

    def made(folder: Path) -> str:
        rows = by_system(folder)
        cells = [[label, *(shown(rows[name][key]) for key in keys)] for label, name in labels.items()]
        return markdown(["reports", *(COLUMNS[key] for key in keys)], cells)

    return made


reports = scores_of(SYSTEMS, SCORES)
reports_in_short = scores_of(IN_SHORT, DIFFERENCES)


def recalled(folder: Path) -> str:
    """What was recalled first, beside random and nearest cases: mean [lowest, highest] of the seeds."""
    rows = by_system(folder)
    cells = [[label, *(shown(rows[name][key]) for key in RECALL)] for label, name in RECALLED.items()]
    return markdown(["recalled first", *RECALL_HEADS], cells)


def said(folder: Path) -> str:
    """What the reports say beside what they were told: mean [lowest, highest] of the seeds."""
    systems = by_system(folder)
    return markdown(["", "three seeds"], [[label, shown(systems[name][key])] for label, (name, key) in SAID.items()])


def minus(other: str, kept: str = SEEDS) -> Callable[[Path], str]:
    """A table of the differences from other reports of the same films, a row for each seed of a kept result."""

    def made(folder: Path) -> str:
        rows = [case for case in cases(folder, kept) if case.get("pairs") == f"ours minus {other}"]
        cells = [[row["run"], *(interval(row.get(key)) for key in DIFFERENCES)] for row in rows]
        return markdown(["run", *(COLUMNS[key] for key in DIFFERENCES)], cells)

    return made


def influenced(folder: Path) -> str:
    """How many reports a recalled case influences, beside how many random ones would."""
    rows = [case for case in cases(folder) if case.get("pairs") == "influenced"]
    heads = ["run", "reports that a recalled case influences", "with random cases it would be"]
    return markdown(heads, [[row["run"], short(row["value"]), short(row["chance"])] for row in rows])
