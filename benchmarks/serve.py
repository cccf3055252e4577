"""Measures the service under load: ``python -m benchmarks.serve --model FOLDER [--requests 300] [--clients 8]``.

It starts ``ammrg serve`` twice on loopback, once with batches and once with one study at a time, and sends it drawn
studies from clients that each wait for an answer before they send the next. It reports the times of answers, answers
per second, processor seconds of the service per answer (which other programs on the machine change less), whether every
request was answered with the same report both times, and the memory of the process before and after. A part ends after
``--seconds``, whatever is left. Without an exported model it says so and does nothing. It prints a table, then one JSON
line.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
from rich.console import Console
from rich.table import Table

from ammrg.commands.argument_types import positive
from ammrg.commands.parser import CommandParser
from benchmarks._result import print_result
from datamodules.sources.phantom import draw_study

ROOT = Path(__file__).parents[1]
MODEL = Path("outputs/phantom/default/export")
BATCH = 8
WARM = 8
"""Requests before the measurement: the first ones allocate memory."""
LISTENS = re.compile(r"Uvicorn running on http://[\d.]+:(\d+)")
READY = re.compile(r"ready: model")


class Answer(NamedTuple):
    """The answer to one request."""

    study: int
    status: int
    """Of the answer; 0: there was none."""
    seconds: float
    report: str = ""


@contextmanager
def service(model: Path, batch: int) -> Iterator[tuple[str, int]]:
    """Run the service; give its address and the number of its process."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        words = ["--model", str(model), "--port", "0", "--batch", str(batch), "--seconds", "600"]
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "ammrg", "serve", *words],
                stdout=file,
                stderr=file,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": folder},
            )
        try:
            while not READY.search(log.read_text()):
                if process.poll() is not None:
                    raise SystemExit(f"the service did not start: {log.read_text()}")
                time.sleep(0.1)
            port = LISTENS.search(log.read_text())
            assert port is not None
            yield f"http://127.0.0.1:{port[1]}", process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def resident_mib(pid: int) -> float:
    """Memory of a process in MiB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def processor_seconds(pid: int) -> float:
    """Processor time that a process took so far, all threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(url: str, films: Sequence[bytes], requests: int, clients: int, seconds: float) -> tuple[list[Answer], float]:
    """Send requests from several clients; return the answers, and the seconds from the first to the last."""
    numbers, lock, until = iter(range(requests)), threading.Lock(), time.monotonic() + seconds
    answers: list[Answer] = []

    def client() -> None:
        with httpx2.Client(timeout=600) as session:
            while time.monotonic() < until:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                study, started = number % len(films), time.monotonic()
                try:
                    told = session.post(f"{url}/v1/studies", files={"files": ("film.png", films[study])})
                    report = told.json().get("report", "")
                    answers.append(Answer(study, told.status_code, time.monotonic() - started, report))
                except httpx2.HTTPError:
                    answers.append(Answer(study, 0, time.monotonic() - started))

    started = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        for each in [pool.submit(client) for _ in range(clients)]:
            each.result()
    return answers, time.monotonic() - started


def measure(model: Path, batch: int, films: Sequence[bytes], options: Any) -> tuple[dict[str, Any], list[Answer]]:
    """Measure one part."""
    with service(model, batch) as (url, pid):
        ask(url, films, WARM, options.clients, options.seconds)
        before, used = resident_mib(pid), processor_seconds(pid)
        answers, seconds = ask(url, films, options.requests, options.clients, options.seconds)
        after, used = resident_mib(pid), processor_seconds(pid) - used
        metrics = httpx2.get(f"{url}/metrics").text
    times = sorted(answer.seconds for answer in answers)
    batches = re.search(r"^ammrg_batch_studies_count (\S+)", metrics, re.MULTILINE)
    assert batches is not None
    return {
        "batch": batch,
        "sent": len(answers),
        "answered": sum(answer.status == 200 for answer in answers),
        "p50_s": statistics.median(times),
        "p95_s": times[min(len(times) - 1, int(0.95 * len(times)))],
        "per_second": len(answers) / seconds,
        "cpu_s_per_answer": used / len(answers),
        "mean_batch": (len(answers) + WARM) / float(batches[1]),
        "rss_before_mib": before,
        "rss_after_mib": after,
    }, answers


def main(argv: Sequence[str] | None = None) -> int:
    """Run both parts, print the table and the JSON line.

    Returns:
        0.
    """
    parser = CommandParser(prog="python -m benchmarks.serve", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL, help=f"exported folder (default: {MODEL})")
    parser.add_argument("--requests", type=positive, default=300)
    parser.add_argument("--clients", type=positive, default=8)
    parser.add_argument("--seconds", type=positive, default=240, help="longest time of a part")
    parser.add_argument("--quick", action="store_true", help="16 requests")
    options = parser.parse_args(argv)
    if not options.model.is_dir():
        print(f"{options.model}: no exported model; name one with --model")
        return 0
    options.requests = 16 if options.quick else options.requests
    films = [draw_study("test", number, 0, 256).views[0].image for number in range(min(64, options.requests))]
    assert all(isinstance(film, bytes) for film in films)
    parts = [measure(options.model, batch, films, options) for batch in (1, BATCH)]
    (alone, each), (together, joined) = parts
    reports = [{(answer.study, answer.report) for answer in answers} for answers in (each, joined)]
    studies = set.intersection(*({study for study, _ in found} for found in reports))
    same = sum(len({text for found in reports for number, text in found if number == study}) == 1 for study in studies)
    table = Table(title=f"{options.clients} clients, {options.requests} requests")
    for column in alone:
        table.add_column(column, justify="right")
    for part, _ in parts:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in part.values()))
    Console(width=140).print(table)
    print_result(
        "serve",
        [alone, together],
        {
            "answers per second, together / one at a time": (together["per_second"] / alone["per_second"], 3.0),
            "processor seconds per answer, one at a time / together": (
                alone["cpu_s_per_answer"] / together["cpu_s_per_answer"],
                3.0,
            ),
            "answered / sent": (
                (alone["answered"] + together["answered"]) / (alone["sent"] + together["sent"]),
                1.0,
            ),
            "studies with the same report both times": (same / len(studies), 1.0),
        },
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
