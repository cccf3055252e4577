"""Sweeps over a stage's settings: by W&B's server and its agents, or a few trials here without it."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ammrg.commands.exit_status import succeeds
from ammrg.errors import SettingsError
from experiments.runs.stage import Stage

SWEEPS = Path(__file__).parents[1] / "sweeps"
MINED = "memory/regions_report/report.json"
ARGUMENTS = "${args_json}"
"""For W&B's agent: a trial's settings as JSON. Its ``${args}`` writes null as None, which is a text."""


class Trial(NamedTuple):
    """One setting of a sweep's parameters."""

    name: str
    arguments: list[str]
    """As on the command line."""


def read_sweep(path: Path) -> dict[str, Any]:
    """A sweep file.

    Raises:
        SettingsError: no such file, one that is not YAML, or one that lacks a field or holds something else there.
    """
    if not path.is_file():
        found = ", ".join(sorted(file.stem for file in SWEEPS.glob("*.yaml")))
        raise SettingsError(f"{path}: no such sweep; {SWEEPS} holds {found}")
    try:
        settings = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not YAML: {error}") from error
    missing = {"name", "method", "metric", "parameters"} - set(settings if isinstance(settings, dict) else {})
    if missing:
        raise SettingsError(f"{path}: lacks {', '.join(sorted(missing))}")
    metric, parameters = settings["metric"], settings["parameters"]
    if not isinstance(metric, dict) or "name" not in metric or metric.get("goal") not in ("maximize", "minimize"):
        raise SettingsError(f"{path}: metric must have a name and a goal (maximize or minimize), found {metric!r}")
    if not isinstance(parameters, dict) or not all(isinstance(each, dict) for each in parameters.values()):
        raise SettingsError(f"{path}: parameters must map each key of the command line to its value, values or bounds")
    for name, each in parameters.items():
        listed = "value" in each or "values" in each
        if settings["method"] == "grid" and not listed:
            raise SettingsError(f"{path}: {name}: a grid needs value or values")
        if not listed and not {"min", "max"} <= set(each):
            raise SettingsError(f"{path}: {name}: needs value, values, or min and max, found {each}")
    found = dict(settings)
    return found


def drawn(name: str, parameter: Mapping[str, Any], draw: random.Random) -> Any:
    """One value of a parameter, at random.

    Raises:
        SettingsError: a distribution that is not drawn from here.
    """
    if "value" in parameter:
        return parameter["value"]
    if "values" in parameter:
        return draw.choice(parameter["values"])
    kind = parameter.get("distribution", "uniform")
    if kind not in ("uniform", "int_uniform", "log_uniform_values"):
        raise SettingsError(
            f"{name}: distribution {kind!r}; here uniform, int_uniform and log_uniform_values are drawn"
        )
    low, high = parameter["min"], parameter["max"]
    if kind == "int_uniform":
        return draw.randint(low, high)
    if kind == "log_uniform_values":
        return float(f"{math.exp(draw.uniform(math.log(low), math.log(high))):.4g}")
    return float(f"{draw.uniform(low, high):.4g}")


def settings_of(sweep: Mapping[str, Any], seed: int) -> Iterator[dict[str, Any]]:
    """Settings without end (of a grid: its cells): what a server would choose, but by no score."""
    parameters = sweep["parameters"]
    if sweep["method"] == "grid":
        cells = itertools.product(*(each.get("values", [each.get("value")]) for each in parameters.values()))
        yield from (dict(zip(parameters, cell, strict=True)) for cell in cells)
        return
    draw = random.Random(seed)
    while True:
        yield {name: drawn(name, each, draw) for name, each in parameters.items()}


def expand(sweep: Mapping[str, Any], count: int, seed: int = 0) -> list[Trial]:
    """The first trials."""
    chosen = itertools.islice(settings_of(sweep, seed), count)
    return [Trial(f"trial{number}", as_arguments(settings)) for number, settings in enumerate(chosen)]


def as_arguments(settings: Mapping[str, Any]) -> list[str]:
    """Settings as options: a text as it is, all else as JSON, whose null, true and lists are YAML's too."""
    return [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()]


def run_trial(trial: Trial, sweep: Mapping[str, Any], words: Sequence[str], out: Path, wandb: str) -> float | None:
    """Run a trial in a folder of its own; a finished one is left alone.

    Args:
        trial: what is tried.
        sweep: names the metric.
        words: the command of every trial, ``fit ...`` or ``predict ...``; the trial's arguments go last.
        out: of the sweep.
        wandb: of ``fit``.

    Returns:
        The metric; None where the command failed (it has said why).

    Raises:
        SettingsError: it went well, but measures no such metric.
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
            known = ", ".join(measured) if isinstance(measured, dict) else "no more"
            raise SettingsError(f"metric {metric}: the trial measures no {key}; it knows {known}")
        measured = measured[key]
    return float(measured)


def send(metric: str, value: float) -> None:
    """A mining pass has no logger: its number goes to the agent's run from here."""
    import wandb

    with wandb.init(settings=wandb.Settings(console="off", x_disable_meta=True)) as run:
        run.log({metric: value})


def start(path: Path, sweep: dict[str, Any], words: Sequence[str], out: Path, count: int) -> int:
    """Create the sweep at W&B and work on it with one agent here.

    Raises:
        SettingsError: no login.
    """
    from experiments.runs.wandb_run import PROJECT, logged_in

    if not logged_in():
        raise SettingsError(
            "W&B knows no login here, and its server chooses a sweep's trials: `wandb login` first, or DRY=1 for "
            "trials drawn at random without it"
        )
    import wandb

    project = os.environ.get("WANDB_PROJECT", PROJECT)
    command = [sys.executable, "-m", "experiments", "sweep", str(path), "--out", str(out), "--trial", *words, ARGUMENTS]
    sweep_id = wandb.sweep({**sweep, "command": command}, project=project)
    print(f"sweep {sweep_id}: another agent, here or in a Slurm job: wandb agent --project {project} {sweep_id}")
    (out / "sweep_id.txt").write_text(f"{project}/{sweep_id}\n")
    agent = ["wandb", "agent", "--project", project, "--count", str(count), sweep_id]
    return subprocess.run([str(Path(sys.executable).parent / agent[0]), *agent[1:]]).returncode


def show(rows: Mapping[str, Mapping[str, Any]], metric: str, goal: str, title: str) -> None:
    """The trials as a table, best first."""
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
