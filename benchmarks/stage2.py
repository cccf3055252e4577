"""Compares the training step of stage 2 with the published one: ``python -m benchmarks.stage2 [--quick]``.

ours       :class:`ReportNetwork` as it trains: batches of similar length padded to their longest report, logits only at
           targets, retrieval that projects no pattern, and stage 1 without a graph.
published  the step as the paper and its released code describe it, written here: reports padded to ``max_length``,
           logits at every position and the loss of transformers, the public hflayers layer
           (github.com/ml-jku/hopfield-layers, installed or on PYTHONPATH) over both memories with the patterns expanded
           over the batch, and stage 1 inside the autograd graph, whose gradients are computed but not used: both sides
           train the same parameters (projections, marks, both retrievals, LoRA), and neither trains stage 1.

Sizes are those of the ``small`` overlays (224-px films, batch 8); the language model has SmolLM2-135M's shape and
random float32 weights. Memories: 7,014 regions (14 of them disease queries) and 6,000 reports of width 768. Reports
have as many tokens as IU X-Ray's with SmolLM2's tokenizer: mean 51, half below 47, nine of ten below 77 (32, 30 and
51 words). A window of 16 batches is sorted by length, as in training, and a few evenly spaced batches are measured; the
published side reads the same studies shuffled. Before anything is timed, losses and gradients of both sides are
compared with equal weights and without dropout. The rows between the two sides switch one ingredient each. Studies/s
are medians over interleaved rounds. Memory is measured for one step of the longest batch in its own process: its rise
over a step of one study, and the whole process's peak.

``small`` has an association space of 64 dimensions a head; one table has the published 1024 on both sides. Prints a
table, then one JSON line; takes about half an hour on two cores. :mod:`benchmarks.gpu` has a step of 7B's shape.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import Tensor

from ammrg.commands.parser import CommandParser
from ammrg.networks.language_model import LanguageModel
from benchmarks._same_texts import same_texts
from benchmarks._stage2_inputs import SMOLLM2, TINY, batch_of, batch_size, draw_batches, draw_studies, save_llama
from benchmarks._stage2_rows import TABLES, Row, grown, load, memory_of, rows_of, timed
from benchmarks._stage2_step import ALL, INGREDIENTS, Ingredients, Sizes, Step, build, named
from benchmarks.agreement import check_gaps, gap


def agreement(language_model: LanguageModel, peer: bool) -> dict[str, float]:
    """Differences in loss and gradients if our step takes one ingredient of the published step, or all of them.

    Each is the largest difference from ours, relative to the loss or to the largest gradient. With hflayers the
    gradients of the retrievals' own parameters are not compared, because their layout differs; gradients before and
    after the retrievals are.
    """
    batch = batch_of([study._replace(report=cut(study.report)) for study in draw_studies(4)])
    batch = batch._replace(study_ids=list("abcd"), subject_ids=list("abcd"))
    sizes, worst = Sizes(regions=300, reports=200), {}
    sets = [frozenset[str](), *(frozenset({name}) for name in INGREDIENTS if name != "shuffled"), ALL]
    found: dict[Ingredients, tuple[float, dict[str, Tensor]]] = {}
    for ingredients in (each if peer else each - {"hflayers"} for each in sets):
        step = Step(build(language_model, sizes, ingredients, dropout=False), ingredients)
        loss = step.loss(batch)
        loss.backward()
        trained = set(step.trained)
        gradients = {name: p.grad for name, p in step.network.named_parameters() if p in trained and p.grad is not None}
        found[ingredients] = (float(loss.detach()), gradients)
        step.network.zero_grad(set_to_none=True)
    loss_of_ours, ours = found.pop(frozenset())
    for ingredients, (loss, gradients) in found.items():
        shared = [name for name in ours if name in gradients]
        flat = (torch.cat([side[name].flatten() for name in shared]) for side in (gradients, ours))
        worst[named(ingredients)] = max(gap(torch.tensor(loss), torch.tensor(loss_of_ours)), gap(*flat))
    return worst


def cut(report: str, words: int = 30) -> str:
    """Shorten a report so that neither side cuts it: ours cuts at a sentence end, the public code at a token."""
    return " ".join(report.split()[:words])


def targets(cases: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each claim with its target and its measured value; tables without the published step make no claim."""
    tables: dict[str, dict[str, dict[str, Any]]] = {}
    for case in cases:
        tables.setdefault(case["table"], {})[case["row"]] = case
    found: dict[str, tuple[float, float, bool]] = {}
    for table, least in (("whole", 6.0), ("published association space", 6.0), ("memories aside", 1.5)):
        rows = tables.get(table, {})
        if "published" not in rows:
            continue
        ours, published = rows["ours"], rows["published"]
        found[f"{table}: studies/s of ours over the published step's"] = (published["ratio"], least, True)
        for key, what in (("step_mib", "a step's memory"), ("process_mib", "the process's peak memory")):
            if table != "memories aside" and ours.get(key) and published.get(key):
                found[f"{table}: {what}, ours over the published step's"] = (ours[key] / published[key], 0.5, False)
    return {
        claim: {"value": value, "target": target, "met": value >= target if more else value <= target}
        for claim, (value, target, more) in found.items()
    }


def show(title: str, cases: Sequence[dict[str, Any]]) -> Table:
    table = Table(title=f"{title}, batch {cases[0]['batch']}", title_justify="left")
    for head in ("row", "s a step", "studies/s", "ours is x", "step MiB", "process MiB"):
        table.add_column(head, justify="left" if head == "row" else "right")
    for case in cases:
        step, process = (case.get(key) for key in ("step_mib", "process_mib"))
        table.add_row(
            case["row"] if case["row"] in ("ours", "published") else f"ours, {case['row']}",
            f"{statistics.mean(case['step_s']):.2f}",
            f"{case['studies_per_s']:.2f}",
            f"{case['ratio']:.2f}",
            "-" if step is None else f"{step:,.0f}",
            "-" if process is None else f"{process:,.0f}",
        )
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = CommandParser(prog="python -m benchmarks.stage2", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batches", type=int, default=3, help="of a window of 16 (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (default: %(default)s)")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="which (default: all)")
    parser.add_argument("--quick", action="store_true", help="a tiny language model, small memories: does it run?")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    torch.set_flush_denormal(True)  # as `fit` does, for all sides
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # bars of milliseconds
    if arguments.memory_of:
        asked = json.loads(arguments.memory_of)
        table, sizes, ingredients, dtype = asked["row"]
        row = Row(table, Sizes(*sizes), frozenset(ingredients), dtype)
        print(json.dumps(grown(row, Path(asked["folder"]), asked["size"], asked["count"])))
        return 0
    print(
        json.dumps(compare(arguments.quick, arguments.batches, arguments.rounds, Console(width=100), arguments.tables))
    )
    return 0


def compare(quick: bool, count: int, rounds: int, console: Console, tables: Sequence[str] = TABLES) -> dict[str, Any]:
    """Measure the part that runs on a CPU."""
    peer = importlib.util.find_spec("hflayers") is not None
    if not peer:
        console.print("hflayers is not here (install it or put it on PYTHONPATH): the rows with it are left out")
    # Without bf16 instructions it is emulated, tens of times slower.
    bf16 = torch.cpu._is_avx512_bf16_supported()
    if not bf16:
        console.print("this CPU has no bfloat16 instructions: its rows are left out")
    sizes, size = (Sizes(70, 60), 2) if quick else (Sizes(), batch_size())
    shape = SMOLLM2 | TINY if quick else SMOLLM2
    count, rounds = (1, 1) if quick else (count, rounds)
    rows = [row for row in rows_of(sizes, peer, bf16) if row.table in tables]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_llama(folder, shape)
        gaps = agreement(load(folder, "float32"), peer)
        worst = check_gaps(gaps, 1e-3, "losses or gradients of our step and of the published one")
        console.print(f"losses and gradients agree to {worst:.0e}")
        batches = draw_batches(size, count)
        cases: list[dict[str, Any]] = []
        with Progress(console=console, transient=True) as progress:
            bar = progress.add_task("steps", total=len(rows) * (rounds * count + 1))
            for table in dict.fromkeys(row.table for row in rows):
                members = [row for row in rows if row.table == table]
                language_model = load(folder, members[0].dtype)
                found = timed(members, language_model, batches, rounds, lambda: progress.advance(bar))
                del language_model
                gc.collect()
                for row, case in zip(members, found, strict=True):
                    case |= memory_of(row, folder, size, count)
                    progress.advance(bar)
                console.print(show(table, found))
                cases += found
        shares = {
            dtype: same_texts(build(load(folder, dtype), sizes), size, 6 if quick else 40)
            for dtype in ("float32", "bfloat16")
        }
    for dtype, share in shares.items():
        console.print(f"{dtype}: {share:.0%} of the texts are the same alone and in a batch of {size}")
    return {
        "benchmark": "stage2",
        "cases": cases,
        "targets": {} if quick else targets(cases),
        "agreement": gaps,
        "same_text_alone_and_in_batch": shares,
        "machine": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "cpus": os.cpu_count(),
            "bf16_instructions": bf16,
            "system": platform.platform(),
        },
    }


if __name__ == "__main__":
    raise SystemExit(main())
