"""The frame of benchmarks on hand-labelled sentences: the command, a table of the kinds, and each misread sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.table import Table

from ammrg.commands.parser import CommandParser


class Labelled(Protocol):
    """A sentence of one kind."""

    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...


S = TypeVar("S", bound=Labelled)


def measure(
    argv: Sequence[str] | None,
    *,
    benchmark: str,
    description: str,
    sentences: Path,
    read: Callable[[Path], list[S]],
    misread: Callable[[S], Mapping[str, tuple[str, str]]],
    columns: Mapping[str, Callable[[S], bool]],
    shape: Callable[[Mapping[str, list[int]]], Any],
) -> int:
    """Read a file of sentences and print how many of each kind are read right, the misread ones, and one JSON line.

    Args:
        argv: the command's arguments; None: of the process.
        benchmark, description: name and help of the benchmark.
        sentences: the default file.
        read: reads a file.
        misread: finding -> (what is read, what is right) where they differ.
        columns: heading -> which sentences it counts.
        shape: a kind's heading -> [read right, sentences] as the JSON line shows it.

    Returns:
        0.
    """
    parser = CommandParser(description=description)
    parser.add_argument("file", nargs="?", type=Path, default=sentences, help="default %(default)s")
    path = parser.parse_args(argv).file
    read_so = [(sentence, misread(sentence)) for sentence in read(path)]
    kinds = list(dict.fromkeys(sentence.kind for sentence, _ in read_so))
    table = Table(title=f"{path.name}: {len(read_so)} sentences")
    for column in ("kind", *columns):
        table.add_column(column, justify="left" if column == "kind" else "right")
    counted: dict[str, dict[str, list[int]]] = {}
    for kind in (*kinds, "all"):
        here = [(sentence, not wrong) for sentence, wrong in read_so if kind in (sentence.kind, "all")]
        parts = {name: [right for sentence, right in here if counts(sentence)] for name, counts in columns.items()}
        counted[kind] = {name: [sum(part), len(part)] for name, part in parts.items()}
        cells = (f"{right} / {count}" for right, count in counted[kind].values())
        table.add_row(kind, *cells, end_section=kind == kinds[-1])
    console = Console(width=120)
    console.print(table)
    for sentence, wrong in read_so:
        for finding, (ours, theirs) in wrong.items():
            console.print(f"{sentence.kind}: {sentence.text!r}: {finding} read {ours}, is {theirs}", highlight=False)
    right_of = {kind: shape(counts) for kind, counts in counted.items()}
    print(json.dumps({"benchmark": benchmark, "file": path.name, "right_of": right_of}))
    return 0
