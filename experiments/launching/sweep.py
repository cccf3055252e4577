"""Sweeps over a stage's settings: trials that W&B's server chooses, or a few that are drawn here."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ammrg.commands.exit_status import succeeds
from ammrg.errors import SettingsError
from experiments.launching.sweep_trials import Trial, as_arguments, expand, read_sweep
from experiments.runs.stage import Stage

MINED = "memory/regions_report/report.json"
ARGUMENTS = "${args_json}"
"""W&B's macro for a trial's settings as JSON. Its ``${args}`` writes null as None, which would be read as a text."""


def run_drawn_trials(path: Path, words: Sequence[str], out: Path, count: int, seed: int) -> int:
    """Draw trials here, run them one after another, write ``out/trials.json`` and print the table.

    Args:
        path: the sweep file.
        words: the command of every trial, ``fit ...`` or ``predict ...``.
        out: the folder for the trials, one subfolder each.
        count: number of trials.
        seed: of the draw.

    Returns:
        0, or 1 if a trial failed.
    """
    sweep = read_sweep(path)
    metric = sweep["metric"]["name"]
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, dict[str, Any]] = {}
    trials = expand(sweep, count, seed)
    for number, trial in enumerate(trials, start=1):
        print(f"\n--- trial {number} of {len(trials)}: {' '.join(trial.arguments)}")
        value = run_trial(trial, sweep, words, out, "off")
        rows[trial.name] = {"arguments": trial.arguments, metric: value}
        (out / "trials.json").write_text(json.dumps(rows, indent=1) + "\n")
    show(rows, metric, sweep["metric"]["goal"], f"{sweep['name']}: {len(rows)} trials drawn here")
    return int(any(row[metric] is None for row in rows.values()))


def run_agent_trial(path: Path, words: Sequence[str], out: Path) -> int:
    """Run the one trial for which a W&B agent called the command.

    Args:
        path: the sweep file.
        words: the command of every trial; the last word is the trial's settings as JSON (:data:`ARGUMENTS`).
        out: the folder for the trials.

    Returns:
        0, or 1 if the trial failed.
    """
    sweep = read_sweep(path)
    out.mkdir(parents=True, exist_ok=True)
    *command, settings = words
    trial = Trial(os.environ.get("WANDB_RUN_ID", "trial"), as_arguments(json.loads(settings)))
    value = run_trial(trial, sweep, command, out, "auto")
    if value is not None and command[0] == "predict":
        send(sweep["metric"]["name"], value)
    return int(value is None)


def run_trial(trial: Trial, sweep: Mapping[str, Any], words: Sequence[str], out: Path, wandb: str) -> float | None:
    """Run a trial in its own folder; a finished trial is not run again.

    Args:
        trial: the settings to try.
        sweep: the content of the sweep file, which names the metric.
        words: the command of every trial, ``fit ...`` or ``predict ...``; the trial's arguments are added last.
        out: the folder for the trials.
        wandb: the value of ``fit --wandb``.

    Returns:
        The metric; None if the command failed (it has printed why).

    Raises:
        SettingsError: the trial finished, but does not measure this metric.
    """
    from experiments.training.start import start

    folder, metric = out / trial.name, sweep["metric"]["name"]
    if words[0] == "fit":
        place = [f"--trainer.default_root_dir={folder / sweep['name']}", f"--wandb={wandb}"]
    else:
        place = [f"--trainer.callbacks.folder={folder / 'memory'}"]
    if not succeeds(lambda: start([*words, *place, *trial.arguments])):
        return None
    if words[0] == "fit":
        measured: Any = Stage(folder / sweep["name"]).manifest["best"]
        keys = [metric]
    else:
        measured, keys = json.loads((folder / MINED).read_text()), metric.split("/")
    for key in keys:
        if not isinstance(measured, dict) or key not in measured:
            known = ", ".join(measured) if isinstance(measured, dict) else "nothing below it"
            raise SettingsError(f"metric {metric}: the trial does not measure {key}; it measures {known}")
        measured = measured[key]
    return float(measured)


def send(metric: str, value: float) -> None:
    """Send a mining pass's metric to the agent's W&B run; mining has no logger that would."""
    import wandb

    with wandb.init(settings=wandb.Settings(console="off", x_disable_meta=True)) as run:
        run.log({metric: value})


def run_on_server(path: Path, words: Sequence[str], out: Path, count: int) -> int:
    """Create the sweep at W&B and start one agent here that runs its trials.

    Args:
        path: the sweep file.
        words: the command of every trial, ``fit ...`` or ``predict ...``.
        out: the folder for the trials, one subfolder each; ``sweep_id.txt`` names the sweep.
        count: number of trials that the agent runs.

    Returns:
        The agent's exit status.

    Raises:
        SettingsError: W&B has no login here.
    """
    from experiments.runs.wandb_run import PROJECT, logged_in

    sweep = read_sweep(path)
    out.mkdir(parents=True, exist_ok=True)
    if not logged_in():
        raise SettingsError(
            "W&B has no login here, and its server chooses a sweep's trials: run `wandb login` first, or use DRY=1 for "
            "random trials without the server"
        )
    import wandb

    project = os.environ.get("WANDB_PROJECT", PROJECT)
    command = [sys.executable, "-m", "experiments", "sweep", str(path), "--out", str(out), "--trial", *words, ARGUMENTS]
    sweep_id = wandb.sweep({**sweep, "command": command}, project=project)
    print(f"sweep {sweep_id}; for another agent, here or in a Slurm job: wandb agent --project {project} {sweep_id}")
    (out / "sweep_id.txt").write_text(f"{project}/{sweep_id}\n")
    agent = ["wandb", "agent", "--project", project, "--count", str(count), sweep_id]
    return subprocess.run([str(Path(sys.executable).parent / agent[0]), *agent[1:]]).returncode


def show(rows: Mapping[str, Mapping[str, Any]], metric: str, goal: str, title: str) -> None:
    """Print the trials as a table, the best first."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for heading in ("trial", metric, "settings"):
        table.add_column(heading, overflow="fold")
    sign = -1 if goal == "maximize" else 1
    for name, row in sorted(rows.items(), key=lambda item: math.inf if (v := item[1][metric]) is None else sign * v):
        value = row[metric]
        table.add_row(name, "failed" if value is None else f"{value:.4f}", " ".join(row["arguments"]))
    Console().print(table)
