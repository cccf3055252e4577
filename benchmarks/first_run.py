"""Measures the whole pipeline as a first user runs it: ``python -m benchmarks.first_run [--against COMMIT]``.

``make stage2`` on drawn films, in a fresh clone of the last commit, with the environment that is running this. Its wall
seconds are split where the files of each step are finished. Another commit is measured in turn with ours, in as many
rounds. Beside them stand the scores of both, since a faster run that learns less is none: macro AUROC of stage 1, its
share of maps with their strongest point in the finding's box, and the test reports' clinical micro F1 (13 findings),
side F1 and CIDEr.

The floor is what remains if only the training steps of stages 1 and 2 took time: the seconds in which they worked on a
batch, by ``throughput.csv``. The steps that train the phantom's language model are not in it. Prints tables, then one
JSON line; a round of ``--model tiny`` takes about 10 minutes for each commit on two quiet cores.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from ammrg.commands.parser import CommandParser
from benchmarks._result import print_result

AGAINST = "30aa42c"
RUN = Path("outputs/phantom/default")
STEPS = {
    "data": "data/phantom*/card.json",
    "language model": "models/phantom-llm*/config.json",
    "stage 1": f"{RUN}/stage1/manifest.json",
    "mining": f"{RUN}/memory/regions_report/report.json",
    "report memory": f"{RUN}/memory/reports.json",
    "stage 2": f"{RUN}/stage2/manifest.json",
    "reports": f"{RUN}/reports.meta.json",
    "scores": f"{RUN}/scores.json",
}
"""Step -> the file that it finishes with."""
SCORES = {
    "stage 1's AUROC": ("stage1/scores.json", ("test", "auroc_macro")),
    "map in its box": ("stage1/scores.json", ("test", "pointing_game")),
    "micro F1": ("scores.json", ("full", "clinical_micro_f1_13_neg")),
    "side F1": ("scores.json", ("full", "location_side_f1")),
    "CIDEr": ("scores.json", ("full", "cider")),
}
"""Score -> (file of the run, the fields that lead to it)."""
FASTER, AS_GOOD = 1.0, -0.02
"""Least ratio of wall seconds, and least difference of a score, beside the other commit."""


class RunError(Exception):
    """A run ended before its scores; the message holds the end of its output."""


def git(*words: str) -> str:
    """What git says.

    Raises:
        RunError: git refuses.
    """
    done = subprocess.run(["git", *words], capture_output=True, text=True)
    if done.returncode:
        raise RunError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


def run_once(commit: str, model: str) -> dict[str, Any]:
    """Clone, run and read; the clone is removed.

    Returns:
        ``seconds`` of each step and of the ``whole``, ``scores``, and the ``floor_s``.
    """
    commit = git("rev-parse", commit)  # in the clone, HEAD may be another one
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name) / "clone"
        git("clone", "--quiet", "--no-checkout", git("rev-parse", "--show-toplevel"), str(clone))
        git("-C", str(clone), "checkout", "--quiet", "--detach", commit)
        kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL")}
        # -o: the environment is finished, however old its stamp is
        words = ["make", "-o", f"{sys.prefix}/.stamp", "stage2", f"MODEL={model}", f"VENV={sys.prefix}"]
        began, start = time.time(), time.perf_counter()
        done = subprocess.run(
            words, cwd=clone, env=kept | {"WANDB_MODE": "offline"}, capture_output=True, text=True, errors="replace"
        )
        whole = time.perf_counter() - start
        if done.returncode:
            end = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
            raise RunError(f"{commit}: make stage2 ended with {done.returncode}:\n{end}")
        return {
            "seconds": {**step_seconds(clone, began), "whole": whole},
            "scores": read_scores(clone / RUN),
            "floor_s": sum(worked_seconds(clone / RUN / stage) for stage in ("stage1", "stage2")),
        }


def step_seconds(clone: Path, began: float) -> dict[str, float]:
    """Split the time since ``began`` (of the epoch) at the last files of the steps, whatever their order."""
    ends = {}
    for step, pattern in STEPS.items():
        found = list(clone.glob(pattern))
        if len(found) != 1:
            raise RunError(f"{clone}: {len(found)} files {pattern} after the run, must be one")
        ends[step] = found[0].stat().st_mtime
    seconds, last = {}, began
    for step in sorted(ends, key=lambda each: ends[each]):
        seconds[step], last = ends[step] - last, ends[step]
    return {step: seconds[step] for step in STEPS}


def read_scores(run: Path) -> dict[str, float | None]:
    """The scores of a run; None where it has none (too few studies, or an earlier release)."""
    found: dict[str, float | None] = {}
    for name, (file, fields) in SCORES.items():
        value: Any = json.loads((run / file).read_text())
        for field in (*fields, "value"):
            value = value.get(field) if isinstance(value, dict) else None
        found[name] = value
    return found


def worked_seconds(stage: Path) -> float:
    """Seconds of a training in which it worked on a batch rather than waited for one."""
    settings = yaml.safe_load((stage / "config.yaml").read_text())
    size = settings["data"]["init_args"]["batch_size"]
    seconds, last = 0.0, -1
    with (stage / "throughput.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            studies = (int(row["step"]) - last) * size
            last = int(row["step"])
            seconds += studies / float(row["studies_per_s"]) * (1 - float(row["loader_wait"]))
    return seconds


def median_of(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians of the seconds and scores of runs of one commit."""

    def over(part: str) -> dict[str, float | None]:
        columns = {name: [run[part][name] for run in runs] for name in runs[0][part]}
        return {name: None if None in values else statistics.median(values) for name, values in columns.items()}

    return {
        "seconds": over("seconds"),
        "scores": over("scores"),
        "floor_s": statistics.median(run["floor_s"] for run in runs),
    }


def show(builds: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("")
    for name in builds:
        table.add_column(name, justify="right")
    for step in (*STEPS, "whole"):
        table.add_row(f"{step}, s", *(f"{build['seconds'][step]:.1f}" for build in builds.values()))
    table.add_row("floor, s", *(f"{build['floor_s']:.1f}" for build in builds.values()), end_section=True)
    for score in SCORES:
        values = (build["scores"][score] for build in builds.values())
        table.add_row(score, *("-" if value is None else f"{value:.3f}" for value in values))
    return table


def targets(builds: Mapping[str, Mapping[str, Any]], against: str) -> dict[str, tuple[float, float]]:
    """Each claim with its value and the least that meets it."""
    ours, other = builds["ours"], builds[against]
    claim = f"wall seconds of {against} over ours"
    found = {claim: (other["seconds"]["whole"] / ours["seconds"]["whole"], FASTER)}
    for score in SCORES:
        here, there = ours["scores"][score], other["scores"][score]
        if here is not None and there is not None:
            found[f"{score}, ours less {against}'s"] = (here - there, AS_GOOD)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure in turns and print."""
    parser = CommandParser(prog="python -m benchmarks.first_run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", default=AGAINST, help="another commit; '' = none (default: %(default)s)")
    parser.add_argument("--model", default="tiny", choices=("nano", "tiny"), help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=1, help="default: %(default)s")
    arguments = parser.parse_args(argv)
    console = Console(width=100)
    if shutil.which("make") is None:
        console.print("left out: make is not here")
        return 0
    commits = {"ours": "HEAD", **({arguments.against: arguments.against} if arguments.against else {})}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commits}
    try:
        for turn in range(arguments.rounds):
            for name, commit in commits.items():
                console.print(f"round {turn + 1} of {arguments.rounds}: make stage2 MODEL={arguments.model} of {name}")
                runs[name].append(run_once(commit, arguments.model))
    except RunError as error:
        console.print(str(error), markup=False)
        return 1
    builds = {name: median_of(found) for name, found in runs.items()}
    console.print(show(builds))
    cases = [{"build": name, **build} for name, build in builds.items()]
    # nano's scores are noise
    claims = targets(builds, arguments.against) if arguments.against and arguments.model != "nano" else {}
    print_result("first_run", cases, claims, {"model": arguments.model, "rounds": arguments.rounds})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
