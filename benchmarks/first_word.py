"""Measures how long ``ammrg describe`` takes to the first word of a report: ``python -m benchmarks.first_word``.

Each round starts a new process of this build on a terminal, and reads its output until the first word of the report.
Processes of another checkout take turns with it (``--other``, for example ``git worktree add --detach /tmp/old
30aa42c``, whose command is ``--other-program "experiments describe"``, with an export of its own, ``--other-model``).
So do floors: Python alone, PyTorch alone, and all that a model is read with. One more process tells which packages the
imports are. At the end a film is sent to ``ammrg serve`` a few times.

The medians over the rounds are printed. CPU seconds are compared, because other programs on the machine lengthen wall
time. Without an exported model it says so and does nothing. Prints tables, then one JSON line.
"""

from __future__ import annotations

import hashlib
import os
import pty
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ammrg.commands.argument_types import positive
from ammrg.commands.parser import CommandParser
from benchmarks._result import print_result
from benchmarks.serve import ask, processor_seconds, service
from datamodules.sources.phantom import draw_study

ROOT = Path(__file__).parents[1]
MODEL = Path("outputs/phantom/default/export")
SHARE = 0.3
"""Most of the other build's time that is claimed."""
FLOORS = {
    "Python": "",
    "import torch": "import torch",
    "import all that a model is read with": "import bitsandbytes, peft, ammrg.studies.grouping\n"
    "import ammrg.inference.describing, ammrg.inference.report_generator, transformers\n"
    "from transformers import AutoTokenizer, Blip2QFormerModel, LlamaForCausalLM, ResNetModel",
}
FIRST_WORD = re.compile(rb"\nreport\r?\n\S+")
COLOURS = re.compile(rb"\x1b\[[\d;?]*[A-Za-z]")
IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\w+)")
PACKAGES = 8
"""Most packages that are listed; the others are added up."""
SENT = 5
"""Films sent to the service, after one that is not measured."""


def environment(checkout: Path) -> dict[str, str]:
    """What a process of a checkout runs in: one thread, and no package of another checkout."""
    return {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "80"}


def first_word(checkout: Path, words: Sequence[str], log: Path, options: Sequence[str] = ()) -> tuple[float, float]:
    """Start a command on a terminal and end it at the first word of its report.

    Args:
        checkout: whose command it is.
        words: its module and arguments.
        log: gets its stderr.
        options: of Python.

    Returns:
        (wall seconds, CPU seconds) from its start.
    """
    terminal, its_end = pty.openpty()
    started, told = time.perf_counter(), b""
    with log.open("w") as file:
        command = [sys.executable, *options, "-m", *words]
        process = subprocess.Popen(
            command, cwd=checkout, env=environment(checkout), stdin=subprocess.DEVNULL, stdout=its_end, stderr=file
        )
    os.close(its_end)
    try:
        while not FIRST_WORD.search(COLOURS.sub(b"", told)):
            try:
                told += os.read(terminal, 1 << 16)
            except OSError:  # the terminal's other end is closed
                raise SystemExit(f"{checkout}: {' '.join(words)} wrote no report: {log.read_text()[-2000:]}") from None
        return time.perf_counter() - started, processor_seconds(process.pid)
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def floor(code: str) -> tuple[float, float]:
    """Run some code in a new process; return (wall seconds, CPU seconds)."""
    known = environment(ROOT) | {"TORCHDYNAMO_DISABLE": "1"}
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=known, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{code} ended with {process.returncode}: {said.decode()[-2000:]}")
    return time.perf_counter() - started, used.ru_utime + used.ru_stime


def read_once(folder: Path) -> tuple[float, float]:
    """Read and hash all files of a folder; return (wall seconds, CPU seconds)."""
    started, before = time.perf_counter(), time.process_time()
    for path in folder.rglob("*"):
        if path.is_file():
            hashlib.sha256(path.read_bytes())
    return time.perf_counter() - started, time.process_time() - before


def packages(log: Path) -> dict[str, float]:
    """Sum up a log of ``python -X importtime``: package -> share of the time of all imports, largest first."""
    spent: Counter[str] = Counter()
    for micros, package in IMPORT.findall(log.read_text()):
        spent[package] += int(micros)
    named = spent.most_common(PACKAGES)
    others = [("others", spent.total() - sum(value for _, value in named))]
    return {package: value / spent.total() for package, value in [*named, *others]}


def medians(name: str, taken: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """A row of the table: median wall and CPU seconds."""
    wall, cpu = (statistics.median(each) for each in zip(*taken, strict=True))
    return {"name": name, "wall_s": wall, "cpu_s": cpu}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print.

    Returns:
        0.
    """
    parser = CommandParser(prog="python -m benchmarks.first_word", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=MODEL, help="exported folder (default: %(default)s)")
    parser.add_argument("--rounds", type=positive, default=7, help="(default: %(default)s)")
    parser.add_argument("--other", type=Path, help="another checkout of this project, to compare with")
    parser.add_argument(
        "--other-program", default="ammrg describe", help="its module and command; default: %(default)s"
    )
    parser.add_argument("--other-model", type=Path, help="a folder that it exported (default: that of --model)")
    options = parser.parse_args(argv)
    if not options.model.is_dir():
        print(f"{options.model}: no exported model; name one with --model")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        film, log = Path(folder) / "film.png", Path(folder) / "log"
        drawn = draw_study("test", 0, 0, 256).views[0].image
        assert isinstance(drawn, bytes)
        film.write_bytes(drawn)
        asked = [str(film), "--out", f"{folder}/described", "--model"]
        builds = {"ours": (ROOT, ["ammrg", "describe", *asked, str(options.model.resolve())])}
        if options.other:
            model = options.other_model or options.model
            builds["other"] = (options.other.resolve(), [*options.other_program.split(), *asked, str(model.resolve())])
        taken: dict[str, list[tuple[float, float]]] = {}
        for _ in range(options.rounds):
            for name, (checkout, words) in builds.items():
                taken.setdefault(name, []).append(first_word(checkout, words, log))
            for name, code in FLOORS.items():
                taken.setdefault(name, []).append(floor(code))
            taken.setdefault("read the model's files once", []).append(read_once(options.model))
        first_word(*builds["ours"], log, ["-X", "importtime"])
        shares = packages(log)
    with service(options.model, 1) as (url, pid):
        ask(url, [drawn], 1, 1, 600)
        used = processor_seconds(pid)
        answers, _ = ask(url, [drawn], SENT, 1, 600)
        used = (processor_seconds(pid) - used) / SENT
    if any(answer.status != 200 for answer in answers):
        raise SystemExit(f"the service answered with {[answer.status for answer in answers]}")
    cases = [medians(name, each) for name, each in taken.items()]
    answered = medians("a film sent to the service", [(answer.seconds, used) for answer in answers])
    ours = cases[0]["cpu_s"]
    table = Table(title=f"to the first word, medians of {options.rounds}", title_justify="left")
    for column in ("", "wall s", "CPU s", "of ours"):
        table.add_column(column, justify="right" if column else "left")
    for case in [*cases, answered]:
        table.add_row(case["name"], f"{case['wall_s']:.2f}", f"{case['cpu_s']:.2f}", f"{case['cpu_s'] / ours:.2f}")
    console = Console(width=120)
    console.print(table)
    told = ", ".join(f"{package} {share:.0%}" for package, share in shares.items())
    console.print(f"time of our imports: {told}", highlight=False, soft_wrap=True)
    targets = {"1 s / a film sent to the service, wall": (1 / answered["wall_s"], 1.0)}
    if options.other:
        targets["CPU time to the first word, other / ours"] = (cases[1]["cpu_s"] / ours, 1 / SHARE)
    print_result("first_word", [*cases, answered, {"name": "imports", "shares": shares}], targets)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
