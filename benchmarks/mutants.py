"""Counts the faults that the tests see: ``python -m benchmarks.mutants``, with Cosmic Ray in an environment of its own.

    python3.11 -m venv /tmp/tools
    echo $PWD/.venv/lib/python3.11/site-packages > /tmp/tools/lib/python3.11/site-packages/project.pth
    /tmp/tools/bin/pip install cosmic-ray==8.7.0 faiss-cpu==1.15.1
    OMP_NUM_THREADS=1 /tmp/tools/bin/python -m benchmarks.mutants --count 80 --seed 0 --log mutants.jsonl

A mutant is the code with one small change, such as ``<`` for ``<=`` or a word left out of a table. It is killed if a
test fails. Those that survive are judged in docs/tested.md. Each of four parts of the code gives ``--count`` mutants,
drawn from all its places with a seed. ``--again LOG`` repeats only the survivors of an earlier run, to try new tests.

No file is changed. A mutant is imported in a process of its own, forked from one that has imported PyTorch and the
like. This process runs the tests that belong to the file, up to the first that fails: that of its name, those that
import it, then those that import a module that does. Tests that start processes of their own would see the file as it
is; they are left out, and so is the one file that only they cover.

Prints a table, then one JSON line.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.console import Console
from rich.table import Table

from ammrg.commands.parser import CommandParser
from benchmarks._mutated import Mutant, mutated, operators, sampled

ROOT = Path(__file__).parents[1]
OURS = ("ammrg", "benchmarks", "tests", "__main__")
SECONDS = 60
"""CPU seconds after which a mutant counts as killed: it loops. No file's tests take a third of that."""


class Part(NamedTuple):
    """A part of the code and its tests, as patterns of files."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]


_LABELER = ("labeler", "cues", "scope", "patterns", "fields", "findings_phrases", "blank", "lines")
_NETWORKS = (
    "hopfield",
    "hub",
    "assoc",
    "two_step",
    "further_memories",
    "report_network_memories",
    "report_network_places",
)
PARTS = {
    "memory": Part(
        ("ammrg/memory/*.py", *(f"ammrg/networks/{name}*.py" for name in _NETWORKS[:3])),
        ("tests/memory/test_*.py", *(f"tests/networks/test_{name}*.py" for name in _NETWORKS)),
    ),
    "labeler": Part(tuple(f"ammrg/text/{name}.py" for name in _LABELER), ("tests/text/test_*.py",)),
    "location": Part(
        ("ammrg/text/place*.py", "ammrg/metrics/location.py", "ammrg/metrics/mirroring.py", "ammrg/metrics/box_*.py"),
        ("tests/text/test_*.py", "tests/metrics/test_*.py", "tests/evaluation/test_*location.py"),
    ),
    "metrics": Part(("ammrg/metrics/*.py",), ("tests/metrics/test_*.py",)),
}
LEFT_OUT = {"ammrg/metrics/gathered.py", "tests/metrics/test_gathered.py"}
STARTING_PROCESSES = (
    "tests/metrics/test_report_metrics.py::test_two_processes_with_uneven_shares_give_the_numbers_of_one"
)


def files(patterns: Iterable[str]) -> list[str]:
    """The files that match, from the root, in the order of the patterns."""
    found = [str(path.relative_to(ROOT)) for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    return [path for path in found if path not in LEFT_OUT]


def sources(part: str) -> list[str]:
    """The files of a part; those of location are not those of metrics too."""
    others = sources("location") if part == "metrics" else ()
    return [path for path in files(PARTS[part].sources) if path not in others]


@cache
def imports(path: str) -> frozenset[str]:
    """The files of this project that a file imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = (f"{name.replace('.', '/')}.py" for name in names if name.split(".")[0] in OURS)
    return frozenset(file for file in found if (ROOT / file).is_file())


def chosen_tests(path: str, tests: Iterable[str]) -> list[list[str]]:
    """The tests that belong to a file, in stages: that of its name, those that import it, those of its importers."""
    named, direct, indirect = [], [], []
    for test in tests:
        near = {file for helper in (test, *_helpers(test)) for file in imports(helper)}
        if Path(test).stem == f"test_{Path(path).stem}":
            named.append(test)
        elif path in near:
            direct.append(test)
        elif any(path in imports(file) for file in near):
            indirect.append(test)
    return [stage for stage in (named, direct, indirect) if stage]


def _helpers(test: str) -> Iterator[str]:
    """The files outside the package that a test imports."""
    return (file for file in imports(test) if not file.startswith("ammrg/"))


def attempt(path: str, code: str, stages: Sequence[Sequence[str]], report: Path) -> str:
    """Run tests in a process of its own, in which the file ``path`` has this code: the result, in one word."""
    child = os.fork()
    if not child:
        _run(path, code, stages, report)
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    if ended in (-signal.SIGXCPU, -signal.SIGALRM):
        return "looped"
    if ended in (pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.USAGE_ERROR):
        raise SystemExit(f"error: {path}: no tests ran:\n{report.read_text()[-2000:]}")
    return "killed" if ended else "survived"


def _run(path: str, code: str, stages: Sequence[Sequence[str]], report: Path) -> None:
    """In the child: forget this project's modules, put the code in the file's place, run the tests, end the process."""
    with report.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    for name in [name for name in sys.modules if name.split(".")[0] in ("ammrg", "benchmarks", "tests")]:
        del sys.modules[name]
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 5))
    signal.alarm(60 * SECONDS)
    mutant, as_written = str(ROOT / path), SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> Any:
        if os.path.realpath(self.path) == mutant:
            return compile(code, mutant, "exec", dont_inherit=True)
        return as_written(self, fullname)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    ended = 1
    try:
        ended = next(filter(None, map(_tested, stages)), 0)
    finally:
        os._exit(ended)


def _tested(tests: Sequence[str]) -> int:
    """Run the tests up to the first that fails; pytest's exit status."""
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", f"--deselect={STARTING_PROCESSES}", *tests]))


def warm(tests: Sequence[str], folder: Path) -> None:
    """Import what the tests of other projects' packages need, so that no mutant has to; nothing of this project.

    Raises:
        SystemExit: if a test fails without any change.
    """
    child = os.fork()
    if not child:
        ended = 1
        try:
            ended = _tested(tests)
            (folder / "modules").write_text("\n".join(name for name in sys.modules if name.split(".")[0] not in OURS))
        finally:
            os._exit(ended)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise SystemExit("error: tests fail without any change (see above)")
    for name in (folder / "modules").read_text().split():
        with contextlib.suppress(Exception):  # some can only be imported by their own package
            importlib.import_module(name)
    from hypothesis import settings

    settings.register_profile("mutants", deadline=None, derandomize=True, database=None)
    settings.load_profile("mutants")


def logged(log: Path) -> Iterator[tuple[str, str, Mutant]]:
    """The mutants in the log of an earlier run, each with its part and result."""
    for line in log.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield row["part"], row["result"], Mutant(*(row[field] for field in Mutant._fields))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = CommandParser(prog="python -m benchmarks.mutants", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=80, metavar="N", help="mutants of each part (default: 80)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw (default: 0)")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="write each mutant and its result; a run goes on there"
    )
    parser.add_argument("--again", type=Path, metavar="LOG", help="repeat only the survivors of an earlier run's log")
    args = parser.parse_args(arguments)
    try:
        known = operators()
    except ImportError:
        parser.error("cosmic_ray is not installed: the first lines of benchmarks/mutants.py say how")
    places: dict[str, int] = {}
    mutants: dict[str, list[Mutant]] = {part: [] for part in args.parts}
    for part, result, mutant in logged(args.again) if args.again else ():
        if part in mutants and result == "survived":
            mutants[part].append(mutant)
    for part in () if args.again else args.parts:
        mutants[part], places[part] = sampled(ROOT, sources(part), args.count, random.Random(f"{args.seed} {part}"))
    known_results = {mutant: result for _, result, mutant in logged(args.log)} if args.log and args.log.exists() else {}
    os.chdir(ROOT)
    start = time.monotonic()
    results: dict[str, Counter[str]] = {part: Counter() for part in mutants}
    tests = {part: files(PARTS[part].tests) for part in mutants}
    with tempfile.TemporaryDirectory() as folder:
        warm(sorted({test for each in tests.values() for test in each}), Path(folder))
        for part, mutant in ((part, mutant) for part, each in mutants.items() for mutant in sorted(each)):
            if mutant in known_results:
                results[part][known_results[mutant]] += 1
                continue
            code = mutated((ROOT / mutant.path).read_text(encoding="utf-8"), known, mutant.operator, mutant.occurrence)
            result = attempt(mutant.path, code, chosen_tests(mutant.path, tests[part]), Path(folder) / "report")
            results[part][result] += 1
            print(f"{time.monotonic() - start:5.0f} s {result:8} {part}: {mutant.name}", flush=True)
            if args.log:
                with args.log.open("a", encoding="utf-8") as log:
                    print(json.dumps({"part": part, "result": result, **mutant._asdict()}), file=log)
    table = Table("part", "places", "mutants", "killed", "of these, looped", "survived")
    for part, found in results.items():
        killed = found["killed"] + found["looped"]
        row = (places.get(part, ""), found.total(), killed, found["looped"], found["survived"])
        table.add_row(part, *map(str, row))
    Console().print(table)
    print(json.dumps({"benchmark": "mutants", "seed": args.seed, "places": places, "results": results}))


if __name__ == "__main__":
    main()
