"""The runs of a folder in a table, and what differs between some of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from ammrg.errors import CheckpointError, SettingsError
from experiments.runs.settings import differences
from experiments.runs.stage import Stage, read_json

STAGES = ("stage1", "stage2")
SCORES = ("bleu_4", "cider", "clinical_macro_f1_14_neg", "clinical_micro_f1_13_neg")
"""The scores of the whole reports that the table shows."""


class Listed(NamedTuple):
    """One stage of one run in the list."""

    name: str
    """``dataset/run/stage``."""
    stage: Stage
    settings: dict[str, Any]
    """The resolved settings; empty if ``config.yaml`` is broken."""
    scores: dict[str, float]

    @property
    def state(self) -> str:
        """The state in words: finished, stopped or running (with the epoch), begun, or unreadable."""
        if not self.settings:
            return "config.yaml is unreadable"
        if self.stage.finished:
            return "finished"
        return f"stopped or running; epoch {self.stage.epoch}" if self.stage.epoch else "begun"


def list_runs(out: Path, names: Sequence[str] = (), *, as_json: bool = False) -> None:
    """Print the runs of a folder, and what differs between the first and each of the others if names are given.

    Args:
        out: folder of the runs.
        names: ``dataset/run/stage``; empty lists all runs.
        as_json: print the rows as JSON and nothing else.

    Raises:
        SettingsError: there is no run in the folder, or none of a name.
    """
    runs = find(out)
    if not runs:
        raise SettingsError(f"--out {out}: holds no run (a run keeps a config.yaml in stage1 or stage2)")
    known = {run.name: run for run in runs}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SettingsError(f"no run {', '.join(unknown)} in {out}; there are {', '.join(known)}")
    chosen = [known[name] for name in names] or runs
    rows = [row(run) for run in chosen]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    show(rows, f"{len(rows)} of {len(runs)} runs in {out}")
    for other in chosen[1:] if names else []:
        changed = compare(chosen[0], other)
        print(f"\n{chosen[0].name} -> {other.name}: {'' if changed else 'nothing differs'}")
        for line in changed:
            print(f"  {line}")


def find(out: Path) -> list[Listed]:
    """Every stage below a folder that has a ``config.yaml``, sorted by its path."""
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
    """One row of the table: heading -> text."""
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
    """Print the table without its empty columns."""
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
    """List what differs between two runs: settings by their command line names, then code, data and versions."""
    lines = [line.replace("(kept)", "").replace("(asked)", "") for line in differences(first.settings, other.settings)]
    facts = ("code", "data", "memories", "versions", "machine", "precision")
    kept = [{key: run.stage.manifest[key] for key in facts if key in run.stage.manifest} for run in (first, other)]
    return lines + [line.replace("(kept)", "").replace("(asked)", "") for line in differences(*kept)]
