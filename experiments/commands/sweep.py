"""``python -m experiments sweep``: try settings of a stage, with W&B's server or with a few random trials here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from ammrg.errors import SettingsError
from experiments.launching.sweep import run_agent_trial, run_drawn_trials, run_on_server


def main(argv: Sequence[str]) -> int:
    """Start a sweep at W&B, run one trial for an agent (``--trial``), or run a few trials here (``--dry``).

    Returns:
        0, or 1 if a trial failed.
    """
    parser = CommandParser(
        prog="python -m experiments sweep",
        description="Try settings of a stage: W&B's server and its agents choose them, or a few are drawn here.",
    )
    parser.add_argument("sweep", type=Path, help="a file of experiments/sweeps")
    parser.add_argument("--out", type=Path, required=True, help="the folder for the trials, one subfolder each")
    parser.add_argument("--count", type=int, default=10, help="number of trials (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the trials that --dry draws")
    parser.add_argument("--dry", action="store_true", help="draw and run the trials here, without W&B's server")
    parser.add_argument("--trial", action="store_true", help="run one trial; W&B's agents call this")
    parser.usage = f"{parser.format_usage().removeprefix('usage: ').strip()} fit|predict ..."
    place = next((number for number, word in enumerate(argv) if word in ("fit", "predict")), len(argv))
    options, words = parser.parse_args(argv[:place]), list(argv[place:])
    if not words:
        raise SettingsError("name the command of every trial last: fit ... or predict ...")
    if options.count < 1:
        raise SettingsError(f"--count {options.count}: must be at least 1 trial")
    if options.trial:
        return run_agent_trial(options.sweep, words, options.out)
    if options.dry:
        return run_drawn_trials(options.sweep, words, options.out, options.count, options.seed)
    return run_on_server(options.sweep, words, options.out, options.count)
