"""Sweeps over a stage's settings: by W&B's server and its agents, or a few trials here without it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ammrg.commands.parser import CommandParser
from ammrg.errors import SettingsError
from experiments.launching.sweep import Trial, as_arguments, expand, read_sweep, run_trial, send, show, start


def main(argv: Sequence[str]) -> int:
    """Start a sweep, run one trial of it for an agent, or run a few here.

    Returns:
        0, or 1 where a trial failed.
    """
    parser = CommandParser(prog="python -m experiments sweep", description=__doc__)
    parser.add_argument("sweep", type=Path, help="a file of experiments/sweeps")
    parser.add_argument("--out", type=Path, required=True, help="a folder a trial goes in here")
    parser.add_argument("--count", type=int, default=10, help="trials")
    parser.add_argument("--seed", type=int, default=0, help="of --dry")
    parser.add_argument("--dry", action="store_true", help="draw and run the trials here, without W&B's server")
    parser.add_argument("--trial", action="store_true", help="one trial, as an agent calls it")
    parser.usage = f"{parser.format_usage().removeprefix('usage: ').strip()} fit|predict ..."
    place = next((number for number, word in enumerate(argv) if word in ("fit", "predict")), len(argv))
    options, words = parser.parse_args(argv[:place]), list(argv[place:])
    if not words:
        raise SettingsError("name the command of every trial last: fit ... or predict ...")
    if options.count < 1:
        raise SettingsError(f"--count {options.count}: must be at least 1 trial")
    sweep = read_sweep(options.sweep)
    metric = sweep["metric"]["name"]
    options.out.mkdir(parents=True, exist_ok=True)
    if options.trial:
        trial = Trial(os.environ.get("WANDB_RUN_ID", "trial"), as_arguments(json.loads(words.pop())))
        value = run_trial(trial, sweep, words, options.out, "auto")
        if value is not None and words[0] == "predict":
            send(metric, value)
        return int(value is None)
    if not options.dry:
        return start(options.sweep, sweep, words, options.out, options.count)
    rows: dict[str, dict[str, Any]] = {}
    trials = expand(sweep, options.count, options.seed)
    for number, trial in enumerate(trials, start=1):
        print(f"\n--- trial {number} of {len(trials)}: {' '.join(trial.arguments)}")
        rows[trial.name] = {
            "arguments": trial.arguments,
            metric: run_trial(trial, sweep, words, options.out, "off"),
        }
        (options.out / "trials.json").write_text(json.dumps(rows, indent=1) + "\n")
    show(rows, metric, sweep["metric"]["goal"], f"{sweep['name']}: {len(rows)} trials drawn here")
    return int(any(row[metric] is None for row in rows.values()))
