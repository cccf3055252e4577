"""The runs of a folder in a table, and what differs between some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ammrg.errors import CheckpointError
from experiments.runs.settings import differences
from experiments.runs.stage import Stage, read_json

STAGES = ("stage1", "stage2")
SCORES = ("bleu_4", "cider", "clinical_macro_f1_14_neg", "clinical_micro_f1_13_neg")
"""Of the whole reports, where a run has written them."""


class Listed(NamedTuple):
    """One stage of one run, as it is listed."""

    name: str
    """``dataset/run/stage``."""
    stage: Stage
    settings: dict[str, Any]
    """Resolved; empty where ``config.yaml`` is broken."""
    scores: dict[str, float]

    @property
    def state(self) -> str:
        """``finished``, ``stopped or running``, ``begun`` or ``unreadable``."""
        if not self.settings:
            return "config.yaml is unreadable"
        if self.stage.finished:
            return "finished"
        return f"stopped or running; epoch {self.stage.epoch}" if self.stage.epoch else "begun"


def find(out: Path) -> list[Listed]:
    """Every stage below a folder that keeps settings, by name."""
    listed = []
    for path in sorted(out.rglob("config.yaml")):
        stage = Stage(path.parent)
        if stage.folder.name not in STAGES:
            continue
        settings: dict[str, Any] = {}
        with suppress(CheckpointError):
            settings = stage.settings
        whole = read_json(stage.folder.parent / "scores.json").get("full", {}) if stage.folder.name == "stage2" else {}
        scores = {name: whole[name]["value"] for name in SCORES if name in whole}
        listed.append(Listed(str(stage.folder.relative_to(out)), stage, settings, scores))
    return listed


def row(run: Listed) -> dict[str, str]:
    """A run as the table shows it."""
    manifest = run.stage.manifest
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


def compare(first: Listed, other: Listed) -> list[str]:
    """What differs: settings by their command line names, then code, data and versions."""
    lines = [line.replace("(kept)", "").replace("(asked)", "") for line in differences(first.settings, other.settings)]
    facts = ("code", "data", "memories", "versions", "machine", "precision")
    kept = [{key: run.stage.manifest[key] for key in facts if key in run.stage.manifest} for run in (first, other)]
    return lines + [line.replace("(kept)", "").replace("(asked)", "") for line in differences(*kept)]
