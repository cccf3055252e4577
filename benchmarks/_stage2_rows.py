"""The rows of :mod:`benchmarks.stage2`, and the measurement of their time and memory."""

from __future__ import annotations

import ctypes
import gc
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from ammrg.networks.language_model import LanguageModel
from ammrg.types import StudyBatch
from benchmarks._stage2_inputs import batch_of, draw_batches, draw_studies, overlay
from benchmarks._stage2_step import ALL, INGREDIENTS, PUBLISHED_ASSOCIATION, Ingredients, Sizes, Step, build, named
from benchmarks.hopfield import resident_mib

TABLES = ("whole", "memories aside", "published association space", "whole, bfloat16")


class Row(NamedTuple):
    """One row of a table."""

    table: str
    """Name of its table; the rows of a table are measured in turn and compared."""
    sizes: Sizes
    ingredients: Ingredients
    dtype: str = "float32"

    @property
    def name(self) -> str:
        return named(self.ingredients)


def rows_of(sizes: Sizes, peer: bool, bf16: bool) -> list[Row]:
    """All rows; those of hflayers only if it is installed."""
    alone = [frozenset[str](), *(frozenset({name}) for name in INGREDIENTS), ALL]
    aside, wide = sizes._replace(memories=False), sizes._replace(association=PUBLISHED_ASSOCIATION)
    whole, without_memories, published_space, half = TABLES
    rows = [Row(whole, sizes, each) for each in alone]
    rows += [Row(without_memories, aside, each) for each in (frozenset[str](), ALL - {"hflayers"})]
    rows += [Row(published_space, wide, each) for each in (frozenset[str](), ALL)]
    if bf16:
        rows += [Row(half, sizes, each, "bfloat16") for each in (frozenset[str](), ALL)]
    return [row for row in rows if peer or "hflayers" not in row.ingredients]


def load(folder: Path, dtype: str) -> LanguageModel:
    return LanguageModel(str(folder), "none", dtype, overlay("stage2")["lora"], device="cpu")


def batches_of(row: Row, batches: tuple[list[StudyBatch], list[StudyBatch]]) -> list[StudyBatch]:
    return batches[1] if "shuffled" in row.ingredients else batches[0]


def timed(
    rows: Sequence[Row],
    language_model: LanguageModel,
    batches: tuple[list[StudyBatch], list[StudyBatch]],
    rounds: int,
    advance: Callable[[], None],
) -> list[dict[str, Any]]:
    """Studies/s of the rows of one table, measured in turn, so that a busy machine affects all rows equally."""
    steps = [Step(build(language_model, row.sizes, row.ingredients), row.ingredients) for row in rows]
    seconds: list[list[list[float]]] = [[[] for _ in batches[0]] for _ in rows]
    for turn in range(rounds + 1):
        for place in range(len(batches[0]) if turn else 1):
            for row, step, taken in zip(rows, steps, seconds, strict=True):
                took = step(batches_of(row, batches)[place])
                if turn:  # the first round is a warm-up
                    taken[place].append(took)
                    advance()
    size = len(batches[0][0].study_ids)
    cases = []
    for row, step, taken in zip(rows, steps, seconds, strict=True):
        medians = [statistics.median(each) for each in taken]
        cases.append(
            {
                "table": row.table,
                "row": row.name,
                "ingredients": sorted(row.ingredients),
                "batch": size,
                "regions": row.sizes.regions if row.sizes.memories else 0,
                "reports": row.sizes.reports if row.sizes.memories else 0,
                "association": row.sizes.association or overlay("stage2")["network"]["hopfield"]["association_width"],
                "dtype": row.dtype,
                "trained": sum(p.numel() for p in step.trained),
                "step_s": medians,
                "studies_per_s": size * len(medians) / sum(medians),
            }
        )
    for case in cases:
        case["ratio"] = cases[0]["studies_per_s"] / case["studies_per_s"]
    return cases


def memory_of(row: Row, folder: Path, size: int, count: int) -> dict[str, float | None]:
    """MiB of a step in a fresh process; see :func:`grown`."""
    asked = {"row": [row.table, row.sizes, sorted(row.ingredients), row.dtype], "size": size, "count": count}
    command = [sys.executable, "-m", "benchmarks.stage2", "--memory-of", json.dumps({**asked, "folder": str(folder)})]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{row.table}, {row.name}: {done.stderr[-2000:]}")
    return cast(dict[str, float | None], json.loads(done.stdout.splitlines()[-1]))


def grown(row: Row, folder: Path, size: int, count: int) -> dict[str, float | None]:
    """Memory of a step of the longest batch, in MiB; None if the system does not report it.

    ``step_mib`` is the rise of this process's peak over its memory after a step of one study. ``process_mib`` is the
    peak itself, with libraries, weights, memories and optimizer.
    """
    step = Step(build(load(folder, row.dtype), row.sizes, row.ingredients), row.ingredients)
    batch = max(batches_of(row, draw_batches(size, count)), key=lambda each: max(map(len, each.reports)))
    step(batch_of(draw_studies(1)))
    step.network.zero_grad(set_to_none=True)
    gc.collect()
    refs = Path("/proc/self/clear_refs")
    if not refs.exists():
        return {"step_mib": None, "process_mib": None}
    ctypes.CDLL(None).malloc_trim(0)
    refs.write_text("5")  # resets the peak
    before = resident_mib("VmRSS")
    step(batch)
    return {"step_mib": resident_mib("VmHWM") - before, "process_mib": resident_mib("VmHWM")}
