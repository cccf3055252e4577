"""The runs of a folder in a table, and what differs between some of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from experiments.runs.settings import differences

STAGES = ("stage1", "stage2")
SCORES = ("bleu_4", "cider", "clinical_macro_f1_14_neg", "clinical_micro_f1_13_neg")
"""Of the whole reports, where a run has written them."""


class Run(NamedTuple):
    """One stage of one run."""

    name: str
    """``dataset/run/stage``."""
    folder: Path
    settings: dict[str, Any]
    """Resolved; empty where none are kept."""
    manifest: dict[str, Any]
    """Empty while the stage is not finished."""
    scores: dict[str, float]

    @property
    def state(self) -> str:
        """``finished``, ``stopped or running``, ``begun`` or ``unreadable``."""
        if not self.settings:
            return "config.yaml is unreadable"
        if self.manifest:
            return "finished"
        return f"stopped or running; epoch {self.epoch}" if self.epoch else "begun"

    @property
    def epoch(self) -> str:
        """Of the last logged row."""
        path = self.folder / "metrics.csv"
        lines = path.read_text().splitlines() if path.is_file() else []
        rows = list(csv.DictReader(lines))
        return str(rows[-1].get("epoch") or "") if rows else ""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file; empty where there is none, or it is broken."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return dict(found) if isinstance(found, dict) else {}


def read_settings(path: Path) -> dict[str, Any]:
    """A run's config.yaml; empty where it is broken."""
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return dict(found) if isinstance(found, dict) else {}


def find(out: Path) -> list[Run]:
    """Every stage below a folder that keeps settings, by name."""
    runs = []
    for path in sorted(out.rglob("config.yaml")):
        folder = path.parent
        if folder.name not in STAGES:
            continue
        whole = read_json(folder.parent / "scores.json").get("full", {}) if folder.name == "stage2" else {}
        scores = {name: whole[name]["value"] for name in SCORES if name in whole}
        name = str(folder.relative_to(out))
        runs.append(Run(name, folder, read_settings(path), read_json(folder / "manifest.json"), scores))
    return runs


def row(run: Run) -> dict[str, str]:
    """A run as the table shows it."""
    manifest = run.manifest
    code = manifest.get("code", {})
    seconds = manifest.get("wall_seconds")
    best = ", ".join(f"{name} {value:.4f}" for name, value in manifest.get("best", {}).items())
    return {
        "run": run.name,
        "state": run.state,
        "best": best,
        **{name.removeprefix("clinical_"): f"{run.scores[name]:.3f}" if name in run.scores else "" for name in SCORES},
        "seed": str(run.settings.get("seed_everything", "")),
        "minutes": f"{seconds / 60:.1f}" if seconds else "",
        "code": f"{code.get('commit', '')[:8]}{' (changed)' if code.get('dirty') else ''}",
        "data": str(manifest.get("data", ""))[:8],
    }


def show(rows: Sequence[Mapping[str, str]], title: str) -> None:
    """The table; columns that are empty throughout are left out."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    headings = [name for name in rows[0] if any(each[name] for each in rows)]
    for name in headings:
        table.add_column(name, overflow="fold")
    for each in rows:
        table.add_row(*(each[name] for name in headings))
    console = Console()
    console.width = max(console.width, 160)  # a narrow window would break the columns
    console.print(table)


def compare(first: Run, other: Run) -> list[str]:
    """What differs: settings by their command line names, then code, data and versions."""
    lines = [line.replace("(kept)", "").replace("(asked)", "") for line in differences(first.settings, other.settings)]
    facts = ("code", "data", "memories", "versions", "machine", "precision")
    kept = [{key: run.manifest[key] for key in facts if key in run.manifest} for run in (first, other)]
    return lines + [line.replace("(kept)", "").replace("(asked)", "") for line in differences(*kept)]
