"""Runs the benchmarks of ``make bench`` and keeps their results: ``python -m benchmarks.run [NAME ...]``.

Each runs as its own process with a time limit. Its last line, the JSON, is written to ``build/bench/NAME.json`` with
the date, the command, its wall seconds, and the machine's processor and busy cores at the start, so that a figure
measured beside other work says so. With ``--keep`` it is written to ``benchmarks/results/``, which is committed: the
documentation quotes it, and :mod:`benchmarks.table` writes the table of ``benchmarks/README.md`` from it.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psutil
from rich.console import Console

from ammrg.atomic import write_json
from ammrg.commands.parser import CommandParser

OUT = Path("build/bench")
KEPT = Path(__file__).parent / "results"


class Benchmark(NamedTuple):
    """How ``make bench`` runs a benchmark."""

    words: str
    """Its arguments."""
    limit: int
    """Seconds."""


CPU = {
    "scoring": Benchmark("", 120),
    "two_step": Benchmark("--patterns 100000", 60),
    "generation": Benchmark("--rounds 2", 360),
    "mining": Benchmark("--films 4 --rounds 1", 300),
    "hopfield": Benchmark("--patience 1", 420),
    "stage2": Benchmark("--rounds 1 --batches 1 --tables 'published association space'", 480),
}
"""Those of ``make bench``: 29 minutes at most."""
OTHERS = {
    "first_run": Benchmark("", 4 * 3600),
    "growth": Benchmark("", 2400),
    "gpu": Benchmark("", 660),
    "data": Benchmark("", 900),
    "serve": Benchmark("", 900),
    "first_word": Benchmark("", 900),
    "dial": Benchmark("", 60),
    "queries": Benchmark("", 60),
}
"""``make bench-run``, the plots of docs/scaling.md, the one for a machine with a GPU, and others that have a claim."""


def run(name: str, how: Benchmark, out: Path) -> str | None:
    """Run a benchmark and write its result; returns why there is none."""
    # a path outside the checkout is of this machine alone
    shown = [Path(word).name if Path(word).is_absolute() else word for word in shlex.split(how.words)]
    command = shlex.join(["python", "-m", f"benchmarks.{name}", *shown])
    # not the load average, in which the benchmark before is still counted
    busy = psutil.cpu_percent(interval=1) / 100 * (os.cpu_count() or 1)
    start = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *shlex.split(how.words)],
            stdout=subprocess.PIPE,
            text=True,
            timeout=how.limit,
        )
    except subprocess.TimeoutExpired:
        return f"its {how.limit} s were over"
    *lines, last = done.stdout.strip().splitlines() or [""]
    print("\n".join(lines))
    if done.returncode:
        return f"it ended with {done.returncode}"
    try:
        result = json.loads(last)
    except ValueError:
        return last  # the note that it prints where it cannot run
    result["run"] = {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "seconds": time.perf_counter() - start,
        "processor": processor(),
        "cpus": os.cpu_count(),
        "load_before": busy,
    }
    write_json(out / f"{name}.json", result)
    return None


def processor() -> str:
    """The processor's name, with what its instructions offer to a network."""
    file = Path("/proc/cpuinfo")
    fields = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line) if file.exists() else {}
    found = {name.strip(): value.strip() for name, value in fields.items()}
    flags = set(found.get("flags", "").split())
    offered = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return ", ".join([found.get("model name", "unknown processor"), *offered])


def main(argv: Sequence[str] | None = None) -> int:
    """Run them one after the other."""
    parser = CommandParser(prog="python -m benchmarks.run", description=(__doc__ or "").splitlines()[0])
    known = CPU | OTHERS
    parser.add_argument("names", nargs="*", choices=[[], *known], metavar="NAME", help=f"default: {', '.join(CPU)}")
    parser.add_argument("--words", help="other arguments for the one benchmark that is named")
    parser.add_argument("--minutes", type=int, help="another limit, such as on a busy machine")
    parser.add_argument("--keep", action="store_true", help="write to benchmarks/results/ instead")
    arguments = parser.parse_args(argv)
    names = arguments.names or list(CPU)
    if arguments.words is not None and len(names) != 1:
        parser.error("--words: name one benchmark")
    out = KEPT if arguments.keep else OUT
    console, missing = Console(width=120), 0
    for name in names:
        how = known[name] if arguments.words is None else known[name]._replace(words=arguments.words)
        how = how._replace(limit=60 * arguments.minutes) if arguments.minutes else how
        console.print(f"{name} (at most {how.limit / 60:.0f} minutes)", style="bold")
        reason = run(name, how, out)
        missing += reason is not None
        console.print(f"{name}: no result, {reason}" if reason else f"{out / name}.json", markup=False, highlight=False)
    return int(missing == len(names))


if __name__ == "__main__":
    raise SystemExit(main())
