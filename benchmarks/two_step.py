"""Compares two-step retrieval with the exact one: ``python -m benchmarks.two_step [--patterns 1000000] [--quick]``.

It measures how much of the exact retrieval's result an approximate search finds, and how much faster. There are a
million stored patterns of width 768 (a mixture of 5,000 appearances that vary in 64 directions, with noise), and 4
studies with 14 states and 6 heads. ``near`` probes are stored patterns with noise, like those of a trained retrieval.
``far`` probes are random directions, like those of an untrained one: no search can help there, because thousands of
patterns share the weight. It needs faiss (the extra ``scale``); without it, it says so and does nothing. It prints a
table, then one JSON line.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ammrg.commands.parser import CommandParser
from ammrg.errors import SettingsError
from ammrg.memory.candidates import Candidates, ExactSearch, FaissSearch
from ammrg.networks.association import PatternNorm, Recalled, Stored, recall, scores
from ammrg.networks.two_step import recall_among
from benchmarks.hopfield import resident_mib

STUDIES, STATES, HEADS, TOP = 4, 14, 6, 10
APPEARANCES, DIRECTIONS = 5_000, 64
LISTS = 1024
BLOCK = 2**16
NEAR = 28.0
"""Score of a near probe with the pattern that it was made from, before noise."""


class Probes(NamedTuple):
    """A set of probes of the memory."""

    name: str
    tensor: Tensor
    """``[b s h p]``."""


def mixture(n: int, p: int) -> Tensor:
    """Make n patterns around appearances that span a few directions."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(APPEARANCES, DIRECTIONS, generator=generator) @ torch.randn(
        DIRECTIONS, p, generator=generator
    )
    centres /= DIRECTIONS**0.5
    patterns = torch.empty(n, p)
    for start in range(0, n, BLOCK):
        end = min(start + BLOCK, n)
        of = torch.randint(APPEARANCES, (end - start,), generator=generator)
        patterns[start:end] = centres[of] + 0.5 * torch.randn(end - start, p, generator=generator)
    return patterns


def probes_of(patterns: Tensor) -> list[Probes]:
    """Make the near and the far probes."""
    generator = torch.Generator().manual_seed(1)
    shape = (STUDIES, STATES, HEADS, patterns.shape[1])
    rows = torch.randint(len(patterns), shape[:3], generator=generator)
    near = F.layer_norm(patterns[rows], shape[3:]) + torch.randn(shape, generator=generator)
    far = torch.randn(shape, generator=generator)
    # the length of a probe is the spread of its scores with unrelated patterns; an untrained layer starts at 2
    return [
        Probes("near", NEAR / shape[3] ** 0.5 * F.normalize(near, dim=-1)),
        Probes("far", 2 * F.normalize(far, dim=-1)),
    ]


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Call a function: (result, seconds)."""
    start = time.perf_counter()
    result = call()
    return result, time.perf_counter() - start


def effective_patterns(probes: Tensor, stored: Stored) -> float:
    """Compute how many patterns an exact association retrieves: median over states and heads of exp(entropy)."""
    total = probes.new_zeros(probes.shape[:3])
    weighted = total.clone()
    top = None
    for start in range(0, len(stored.patterns), BLOCK):
        found = scores(probes, stored.block(start, start + BLOCK), None)
        high = found.amax(-1) if top is None else torch.maximum(top, found.amax(-1))
        if top is not None:
            scale = (top - high).exp()
            weighted, total = (weighted - (high - top) * total) * scale, total * scale
        top = high
        shifted = found - top[..., None]
        odds = shifted.exp()
        total += odds.sum(-1)
        weighted += (odds * shifted).sum(-1)
    return float((total.log() - weighted / total).exp().median())


def compare(
    probes: Probes, exact: Recalled, best: Tensor, stored: Stored, search: FaissSearch, visited: int, count: int
) -> dict[str, Any]:
    """Measure one row of the table: the share of the best patterns found, and the error of the pooled result."""
    search.index.nprobe = visited
    with torch.no_grad():
        rows = search(probes.tensor.flatten(0, 2), count)
        found, seconds = timed(lambda: recall_among(probes.tensor, stored, None, Candidates(search, count), k=5))
    hits = (rows[:, None, :TOP] == best[:, :, None]).any(-1).float().mean()
    error = (found.pooled - exact.pooled).norm(dim=-1) / exact.pooled.norm(dim=-1)
    strongest = (found.indices[..., :1] == exact.indices[..., :1]).float().mean()
    return {
        "probes": probes.name,
        "visited": visited,
        "candidates": count,
        f"recall_at_{TOP}": float(hits),
        "same_strongest": float(strongest),
        "error": float(error.median()),
        "ours_s": seconds,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print the table."""
    parser = CommandParser(prog="python -m benchmarks.two_step", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--patterns", type=int, default=1_000_000, help="default %(default)s")
    parser.add_argument("--quick", action="store_true", help="50,000 narrow patterns, as a quick check that it runs")
    arguments = parser.parse_args(argv)
    n, p = (50_000, 64) if arguments.quick else (arguments.patterns, 768)
    console = Console(width=120)
    patterns = mixture(n, p)
    cases: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            search, facts["build_s"] = timed(lambda: FaissSearch(patterns, lists=LISTS, visited=1, folder=folder))
        except SettingsError as error:
            console.print(f"left out: {error}", markup=False)
            return 0
        (index,) = Path(folder).iterdir()
        facts |= {"index_mib": index.stat().st_size / 2**20, "patterns_mib": patterns.nbytes / 2**20}
        stored = PatternNorm()(patterns, torch.float32, 1e-5)
        before = resident_mib("VmRSS")
        for probes in probes_of(patterns):
            with torch.no_grad():
                exact, seconds = timed(lambda tensor=probes.tensor: recall(tensor, stored, None, k=5))  # type: ignore[misc]
                best = ExactSearch(patterns)(probes.tensor.flatten(0, 2), TOP)
                facts[f"effective_patterns_{probes.name}"] = effective_patterns(probes.tensor, stored)
            for visited in (4, 16, 64):
                for count in (64, 256):
                    row = compare(probes, exact, best, stored, search, visited, count)
                    cases.append({"n": n, **row, "peer_s": seconds, "ratio": seconds / row["ours_s"]})
        facts["grown_mib"] = resident_mib("VmRSS") - before
    table = Table(title=f"{n:,} patterns of width {p}, {STUDIES * STATES * HEADS} probes", pad_edge=False)
    heads = (
        "probes",
        "visited",
        "candidates",
        f"recall@{TOP}",
        "same strongest",
        "error",
        "two steps s",
        "exact s",
        "x",
    )
    for head in heads:
        table.add_column(head, justify="left" if head == "probes" else "right")
    for row in cases:
        shares = (row[f"recall_at_{TOP}"], row["same_strongest"], row["error"], row["ours_s"], row["peer_s"])
        table.add_row(
            row["probes"],
            str(row["visited"]),
            str(row["candidates"]),
            *(f"{value:.3f}" for value in shares),
            f"{row['ratio']:.1f}",
        )
    console.print(table)
    console.print(", ".join(f"{name} {value:,.1f}" for name, value in facts.items()), highlight=False)
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "system": platform.platform()}
    print(json.dumps({"benchmark": "two_step", "cases": cases, "targets": {}, "facts": facts, "machine": machine}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
