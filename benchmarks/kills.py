"""Tests that the phantom pipeline (MODEL=nano) survives kill -9 at random moments, if it is restarted each time.

Weights, optimizer moments, memories, reports and scores are compared bit for bit with those of an uninterrupted run.

    python -m benchmarks.kills --kills 20
"""

from __future__ import annotations

import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ammrg.commands.parser import CommandParser

ROOT = Path(__file__).parent.parent
RUN = Path("out") / "phantom" / "default"
FILES = (
    *("stage1/scores.json", "memory/regions.safetensors", "memory/reports.safetensors", "memory/regions.json"),
    *("memory/reports.json", "memory/regions_report/report.json", "reports.jsonl", "scores.json"),
    *("guards/images_shuffled.jsonl", "guards/films_mirrored.jsonl"),
    *("guards/memory_shuffled.jsonl", "guards/memory_off.jsonl"),
    *("stage1/metrics.csv", "stage2/metrics.csv"),
)
CHECKPOINTS = tuple(f"{stage}/{name}.ckpt" for stage in ("stage1", "stage2") for name in ("best", "last"))
# The phase of the pipeline while a file does not exist yet, in make's order.
PHASES = (
    ("data", "data/phantom-nano/card.json"),
    ("stage 1", str(RUN / "stage1/manifest.json")),
    ("mining", str(RUN / "memory/regions_report/report.json")),
    ("language model", "models/phantom-llm-nano/config.json"),
    ("report memory", str(RUN / "memory/reports.json")),
    ("stage 2", str(RUN / "stage2/manifest.json")),
    ("reports", str(RUN / "reports.meta.json")),
    ("scores", str(RUN / "scores.json")),
    ("page", str(RUN / "report.html")),
)


class Kill(NamedTuple):
    """One kill -9."""

    place: str
    second: float
    phase: str


def borrow_environment(venv: Path) -> None:
    """Make ``venv`` a link that the Makefile takes for its environment: to the one that runs this."""
    python = venv / "bin" / "python"
    if not python.exists():
        python.parent.mkdir(parents=True)
        python.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} "$@"\n')
        python.chmod(0o755)
    (venv / ".stamp").touch()
    os.utime(venv / ".stamp", (time.time() + 86_400,) * 2)  # make builds no environment here


def command(place: Path) -> list[str]:
    """The command of the pipeline, in a folder of its own, with the environment that runs this."""
    borrow_environment(place / "venv")
    paths = {"VENV": "venv", "OUT": "out", "DATA": "data", "MODELS": "models"}
    return [
        "make",
        "-C",
        str(ROOT),
        "scores",
        "MODEL=nano",
        *(f"{key}={place / value}" for key, value in paths.items()),
    ]


def run(place: Path, killed_after: float | None = None) -> bool:
    """Start or resume the pipeline; True if it was killed, False if it ended by itself."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    environment |= {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1"}
    with (place / "log.txt").open("a") as log:
        process = subprocess.Popen(command(place), stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            code = process.wait(killed_after)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return True
    if code:
        raise SystemExit(
            f"{place}: the pipeline failed; {place / 'log.txt'} ends\n{(place / 'log.txt').read_text()[-3000:]}"
        )
    return False


def phase(place: Path) -> str:
    """The phase that the pipeline has reached."""
    return next((name for name, made in PHASES if not (place / made).exists()), "table")


def tensors(path: Path) -> dict[str, Tensor]:
    """Weights and optimizer moments of a checkpoint, by name."""
    checkpoint = torch.load(path, weights_only=True)
    found = {f"weights.{name}": value for name, value in checkpoint["state_dict"].items()}
    for number, state in checkpoint["optimizer_states"][0]["state"].items():
        found |= {f"moments.{number}.{name}": value for name, value in state.items()}
    return found


def different(one: Path, other: Path) -> list[str]:
    """Files that differ between two finished folders."""
    found = [name for name in FILES if (one / RUN / name).read_bytes() != (other / RUN / name).read_bytes()]
    for name in CHECKPOINTS:
        first, second = tensors(one / RUN / name), tensors(other / RUN / name)
        same = first.keys() == second.keys() and all(identical(value, second[key]) for key, value in first.items())
        if not same:
            found.append(name)
    return found


def identical(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal number for number, where NaN equals NaN only."""
    same = one.shape == other.shape and one.dtype == other.dtype
    return same and bool(((one == other) | (one.isnan() & other.isnan())).all())


def trial(root: Path, kills: int, seed: int) -> tuple[list[Kill], dict[str, list[str]], float]:
    """Make one uninterrupted run, then killed runs until ``kills`` kills have hit.

    Returns:
        The kills; the files that differ at the end of each killed run; seconds of the uninterrupted run.
    """
    draw = random.Random(seed)
    alone = root / "alone"
    alone.mkdir()
    started = time.monotonic()
    run(alone)
    seconds = time.monotonic() - started
    hits: list[Kill] = []
    ends: dict[str, list[str]] = {}
    while len(hits) < kills:
        place = root / f"killed{len(ends)}"
        place.mkdir()
        while len(hits) < kills:
            moment = draw.uniform(0.02, 1.0) * seconds
            if not run(place, moment):
                break
            hits.append(Kill(place.name, moment, phase(place)))
            print(f"kill {len(hits)} of {kills}: {place.name} after {moment:.1f} s, in {hits[-1].phase}", flush=True)
        run(place)
        ends[place.name] = different(alone, place)
        print(f"{place.name}: {', '.join(ends[place.name]) or 'the same, bit for bit'}", flush=True)
    return hits, ends, seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Kill, compare, print the tally.

    Returns:
        0, or 1 if a killed run ended differently from the uninterrupted one.
    """
    parser = CommandParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="kept afterwards; default: a temporary one")
    parser.add_argument("--quick", action="store_true", help="two kills")
    options = parser.parse_args(argv)
    kills = 2 if options.quick else options.kills
    with tempfile.TemporaryDirectory() as temporary:
        root = options.folder or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        hits, ends, seconds = trial(root.absolute(), kills, options.seed)
    whole = sum(not changed for changed in ends.values())
    table = Table(title=f"{len(hits)} kills in {len(ends)} runs of {seconds:.0f} s; {whole} of them ended the same")
    table.add_column("in the middle of")
    table.add_column("kills", justify="right")
    counts = Counter(hit.phase for hit in hits)
    for name in (*(name for name, _ in PHASES), "table"):
        if counts[name]:
            table.add_row(name, str(counts[name]))
    Console(width=100).print(table)
    cases: list[dict[str, Any]] = [hit._asdict() for hit in hits]
    targets = {"runs_that_end_the_same": {"value": whole, "target": len(ends), "met": whole == len(ends)}}
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.platform()}
    print(json.dumps({"benchmark": "kills", "cases": cases, "targets": targets, "machine": machine}))
    return int(whole != len(ends))


if __name__ == "__main__":
    raise SystemExit(main())
