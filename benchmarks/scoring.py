"""Measures scoring at MIMIC-CXR's size: ``python -m benchmarks.scoring [--other CHECKOUT] [--meteor] [--quick]``.

``ammrg score`` reads a file of as many pairs as R2Gen's test split of MIMIC-CXR has, drawn by
``benchmarks/_report_pairs.py``, with 1,000 resamples and the page, on one thread. It takes turns with the same command
of another checkout (``--other``, for example ``git worktree add --detach /tmp/old 30aa42c``, whose command was
``--other-program "experiments score"``) and with a floor, which only reads the file and its words
(``benchmarks/_scoring_floor.py``). Each is a process of its own. The medians over the rounds are printed, and the
largest difference of any number that both builds write to scores.json. CPU seconds are compared, because other programs
on the machine lengthen wall time; METEOR's Java process counts in them, but not in the memory.

The peer is what one would do without this package: the reference scorers (``benchmarks/_reference_scorers.py``) once
for each resample. They run once, on the same words and labels; their scores are compared first. Prints a table, then
one JSON line.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ammrg.commands.parser import CommandParser
from ammrg.evaluation.predictions import read_lines
from ammrg.metrics.protocols import protocol
from ammrg.text.labelers import rule_based
from benchmarks._reference_scorers import reference_scorers
from benchmarks._report_pairs import write_pairs
from benchmarks._result import print_result
from benchmarks.agreement import check_gaps

STUDIES, RESAMPLES, ROUNDS = 3858, 1000, 5
FASTER, SMALLER = 2.0, 2.5
"""How many times less CPU time and memory than the other build is claimed."""
PAIRS_A_SECOND, MIB = 400.0, 256.0
HERE = Path(__file__).resolve().parents[1]


def measured(checkout: Path, words: Sequence[str], folder: Path) -> dict[str, float]:
    """Run a module of a checkout with its arguments: its wall and CPU seconds, peak MiB, and whether it has torch."""
    costs = folder / "costs.json"
    known = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-P", str(HERE / "benchmarks/_measured.py"), str(costs), *words]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=known, capture_output=True, text=True)
    wall = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{checkout}: {' '.join(words)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return {"wall_s": wall, **json.loads(costs.read_text())}


def numbers(value: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a JSON value, with its name."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from numbers(part, f"{name}/{key}")
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from numbers(part, f"{name}/{i}")
    elif isinstance(value, int | float):
        yield name, float(value)


def largest_difference(first: Path, second: Path) -> tuple[float, int]:
    """The largest difference of a number in both of two scores files, and how many numbers both have."""
    sides = [dict(numbers(json.loads(path.read_text()))) for path in (first, second)]
    both = sides[0].keys() & sides[1].keys()
    return max((abs(sides[0][key] - sides[1][key]) for key in both), default=math.nan), len(both)


def agreement(reports: Path, scores: Path) -> tuple[float, float]:
    """The largest difference of a plain score from the reference scorers', and their CPU seconds."""
    lines, view = read_lines(reports), protocol("full", None)
    texts = [line.reference for line in lines], [line.generated for line in lines]
    words = [view.reference(text) for text in texts[0]], [view.hypothesis(text) for text in texts[1]]
    truth, said = (np.array(rule_based().label_all(column)) for column in texts)
    start = time.process_time()
    plain = reference_scorers(*words, truth, said)
    spent = time.process_time() - start
    ours = json.loads(scores.read_text())["full"]
    apart = {key: abs(value - ours[key]["value"]) for key, value in plain.items()}
    return check_gaps(apart, 1e-9, "the plain scores and ours"), spent


def main(argv: Sequence[str] | None = None) -> int:
    """Read the options, measure and print."""
    parser = CommandParser(prog="python -m benchmarks.scoring", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--studies", type=int, default=STUDIES, help="pairs of texts; default %(default)s")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="default %(default)s")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="default %(default)s")
    parser.add_argument("--other", type=Path, help="another checkout of this project, to compare with")
    parser.add_argument("--other-program", default="ammrg score", help="its module and command; default: %(default)s")
    parser.add_argument("--memories", action="store_true", help="with findings, boxes and what the memories recalled")
    parser.add_argument("--meteor", action="store_true", help="with METEOR")
    parser.add_argument("--quick", action="store_true", help="100 pairs, 50 resamples, one round")
    options = parser.parse_args(argv)
    if options.quick:
        options.studies, options.resamples, options.rounds = 100, 50, 1
    with tempfile.TemporaryDirectory() as folder:
        return measure(options, Path(folder))


def measure(options: Any, folder: Path) -> int:
    """Measure in turns and print."""
    reports = write_pairs(folder / "pairs", options.studies, memories=options.memories)
    asked = [str(reports), "--quiet", "--bootstrap", str(options.resamples)]
    asked += [] if options.meteor else ["--no-meteor"]
    builds = {"ours": (HERE, "ammrg score")}
    if options.other:
        builds["other"] = (options.other.resolve(), options.other_program)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in (*builds, "floor")}
    for _ in range(options.rounds):
        for name, (checkout, program) in builds.items():
            (folder / name).mkdir(exist_ok=True)
            words = [*program.split(), *asked, "--out", str(folder / name / "scores.json")]
            runs[name].append(measured(checkout, words, folder))
        runs["floor"].append(measured(HERE, ["benchmarks._scoring_floor", str(reports)], folder))
    medians = {
        name: {key: statistics.median(run[key] for run in rows) for key in rows[0]} for name, rows in runs.items()
    }
    ours = medians["ours"]
    apart, spent = agreement(reports, folder / "ours/scores.json")
    facts: dict[str, float] = {
        "peer_s": spent * options.resamples,
        "times_floor": ours["cpu_s"] / medians["floor"]["cpu_s"],
    }
    targets = {
        "pairs a second of CPU time": (options.studies / ours["cpu_s"], PAIRS_A_SECOND),
        f"MiB below {MIB:.0f}": (MIB - ours["mib"], 0.0),
        "runs without torch": (1.0 - ours["torch"], 1.0),
        "decimals in which plain scores equal the reference scorers'": (-math.log10(max(apart, 1e-16)), 9.0),
    }
    if "other" in medians:
        other = medians["other"]
        differs, compared = largest_difference(folder / "ours/scores.json", folder / "other/scores.json")
        facts |= {
            "largest_difference": differs,
            "numbers_compared": compared,
            "wall_ratio": other["wall_s"] / ours["wall_s"],
        }
        targets["times less CPU time than the other build"] = (other["cpu_s"] / ours["cpu_s"], FASTER)
        targets["times less memory than the other build"] = (other["mib"] / ours["mib"], SMALLER)

    table = Table(title=f"{options.studies} pairs, {options.resamples} resamples, medians of {options.rounds} rounds")
    for column in ("build", "wall s", "CPU s", "peak MiB"):
        table.add_column(column, justify="left" if column == "build" else "right")
    for name, row in medians.items():
        table.add_row(name, *(f"{row[key]:,.2f}" for key in ("wall_s", "cpu_s", "mib")))
    table.add_row(f"reference scorers, {options.resamples} times", "", f"{facts['peer_s']:,.0f}", "")
    console = Console(width=120)
    console.print(table)
    console.print(", ".join(f"{name} {value:,.3g}" for name, value in facts.items()), highlight=False)
    case = {"studies": options.studies, "resamples": options.resamples, "rounds": options.rounds}
    case |= {"meteor": options.meteor, "memories": options.memories, "load": os.getloadavg()[0], "runs": runs, **facts}
    print_result("scoring", [case | medians], targets)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
