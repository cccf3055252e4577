"""Measures how cost grows: ``python -m benchmarks.growth [--draw]``.

studies    CPU seconds to prepare drawn studies, to select the regions of a memory (500 a finding), and to score reports
           with 100 resamples
patterns   seconds of an association of one study (14 states, 6 heads), forward and with its backward pass
findings   seconds to mine a film with so many findings, ours and as published
tokens     seconds of the language model of ``small``'s shape: a training step of one study by the length of its report,
           and writing as many tokens

Each cost is measured at a few small sizes, one thread, as CPU seconds, which other work on the machine disturbs less.
The cost of starting (the smallest run, or a prompt) is subtracted, and an exponent fitted to logarithms: 1 is linear.
What larger sizes would cost is extrapolated with it, and was not measured. Prints a table, then one JSON line.
``--draw`` measures nothing, but draws the kept result: the plots and the table of ``docs/scaling.md``.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from ammrg.commands.parser import CommandParser
from ammrg.findings import NUM_FINDINGS
from ammrg.memory.selection import select
from ammrg.networks.hopfield import HopfieldRetrieval
from ammrg.networks.language_model import LanguageModel
from ammrg.text.prompts import INSTRUCTION
from benchmarks import mining
from benchmarks._markdown import markdown
from benchmarks._report_pairs import write_pairs
from benchmarks._result import print_result
from benchmarks._stage2_inputs import SMOLLM2, TINY, save_llama
from benchmarks.scoring import HERE, measured
from benchmarks.table import RESULTS, with_table

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "scaling.md"
FAR = {"studies": 1_000_000, "patterns": 1_000_000, "findings": 14, "tokens": 1000}
"""Axis -> the size up to which costs are extrapolated."""
WIDTH, STATES, HEADS, ASSOCIATION = 768, 14, 6, 64


class Cost(NamedTuple):
    """What is measured by size."""

    name: str
    axis: str
    sizes: tuple[int, ...]
    start: int
    """The size whose cost is that of starting; 0 = starting costs nothing."""
    seconds: Callable[[int], float]
    """A size -> CPU seconds."""


def cpu_seconds(call: Callable[[], Any], warm: bool = True) -> float:
    """CPU seconds of a call: the lesser of two."""
    if warm:
        call()
    taken = []
    for _ in range(2):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return min(taken)


def preparing(folder: Path, studies: int) -> float:
    """In one process: the seconds of worker processes would not be counted."""
    words = ["experiments", "prepare", "--dataset", "phantom", "--out", str(folder / f"prepared-{studies}")]
    return measured(HERE, [*words, "--workers", "1", "--studies", f"train={studies},val=1,test=1"], folder)["cpu_s"]


def scoring(folder: Path, studies: int) -> float:
    reports = write_pairs(folder / f"pairs-{studies}", studies)
    words = ["ammrg", "score", str(reports), "--quiet", "--bootstrap", "100", "--no-meteor"]
    return measured(HERE, [*words, "--out", str(folder / "scores.json")], folder)["cpu_s"]


def selecting(studies: int) -> float:
    """Two regions a study, evenly over the findings."""
    features = torch.randn(2 * studies, WIDTH, generator=torch.Generator().manual_seed(0))
    findings = torch.arange(2 * studies) % NUM_FINDINGS
    return cpu_seconds(lambda: select(features, findings, per_finding=500), warm=False)


def associating(layer: HopfieldRetrieval, backward: bool, n: int) -> float:
    generator = torch.Generator().manual_seed(n)
    patterns = torch.randn(n, WIDTH, generator=generator)
    states = torch.randn(1, STATES, WIDTH, generator=generator)

    def call() -> None:
        with torch.set_grad_enabled(backward):
            tokens = layer(states, patterns).tokens
            if backward:
                tokens.sum().backward()

    layer.train(backward)
    return cpu_seconds(call)


def mining_film(network: Any, procedure: str, findings: int) -> float:
    films, labels = mining.draw_films(1, findings)
    return cpu_seconds(lambda: mining.PROCEDURES[procedure](network, films, labels, mining.ANY), warm=False)


def reading(model: LanguageModel, tokens: int) -> float:
    """A report of so many tokens, forward and backward to the visual tokens."""
    visual = [torch.randn(58, model.width).requires_grad_()]
    ids = model.tokenizer.encode("The heart is large. " * tokens, add_special_tokens=False)[:tokens]
    report = model.tokenizer.decode(ids)
    return cpu_seconds(lambda: model.loss(visual, [report], INSTRUCTION).backward(), warm=False)


def writing(model: LanguageModel, tokens: int) -> float:
    visual = [torch.randn(58, model.width)]

    def call() -> None:
        model.generate(visual, INSTRUCTION, max_new_tokens=tokens, min_new_tokens=tokens)

    return cpu_seconds(call, warm=False)


def costs(folder: Path, quick: bool) -> Iterator[Cost]:
    """All costs, with the networks that they need."""
    studies = (20, 40) if quick else (50, 100, 200, 400)
    yield Cost("prepare", "studies", studies, 1, partial(preparing, folder))
    yield Cost("score", "studies", studies, 10, partial(scoring, folder))
    yield Cost("select regions", "studies", (100, 200) if quick else (4000, 8000, 16_000), 0, selecting)
    layer = HopfieldRetrieval(WIDTH, WIDTH, WIDTH, ASSOCIATION, HEADS, 4.0, dropout=0.0)
    patterns = (100, 200) if quick else (1000, 4000, 16_000, 64_000)
    yield Cost("association", "patterns", patterns, 0, partial(associating, layer, False))
    yield Cost("association, training", "patterns", patterns, 0, partial(associating, layer, True))
    network, findings = mining.build("swin-t", "192 x 2"), (1, 2) if quick else (1, 2, 4, 8)
    yield Cost("mining", "findings", findings, 0, partial(mining_film, network, "ours"))
    yield Cost("mining, as published", "findings", findings, 0, partial(mining_film, network, "peer"))
    save_llama(folder / "llama", SMOLLM2 | (TINY if quick else {}))
    model = LanguageModel(str(folder / "llama"), "none", "float32", device="cpu").requires_grad_(False).eval()
    tokens = (4, 8) if quick else (25, 50, 100, 200)
    yield Cost("training step", "tokens", tokens, 1, partial(reading, model))
    yield Cost("writing", "tokens", tokens, 1, partial(writing, model))


def fitted(cost: Cost) -> dict[str, Any]:
    """Measure a cost and fit its exponent."""
    start = cost.seconds(cost.start) if cost.start else 0.0
    whole = [cost.seconds(size) for size in cost.sizes]
    grown = [max(seconds - start, 1e-6) for seconds in whole]
    exponent, _ = np.polyfit(np.log(cost.sizes), np.log(grown), 1)
    # through the largest size, which is measured best
    far = start + grown[-1] * (FAR[cost.axis] / cost.sizes[-1]) ** float(exponent)
    return {
        "cost": cost.name,
        "axis": cost.axis,
        "sizes": cost.sizes,
        "seconds": whole,
        "start_s": start,
        "exponent": float(exponent),
        "far": FAR[cost.axis],
        "far_s": far,
    }


def duration(seconds: float) -> str:
    """In the unit in which it reads well."""
    for unit, length in (("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds >= 0.1 else f"{1000 * seconds:.3g} ms"


def exponent(row: dict[str, Any]) -> str:
    """With two decimals, and without a sign if they are 0."""
    return f"{row['exponent']:z.2f}"


HEADINGS = ("cost", "measured at", "CPU time there", "exponent", "extrapolated to", "CPU time there")


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A row of the table."""
    largest = row["sizes"][-1]
    return (
        row["cost"],
        f"{largest:,} {row['axis']}",
        duration(row["seconds"][-1]),
        exponent(row),
        f"{row['far']:,} {row['axis']}",
        duration(row["far_s"]),
    )


def draw(axis: str, rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Measured points and what they are extrapolated to, on logarithmic axes."""
    matplotlib.rcParams.update({"svg.hashsalt": axis, "svg.fonttype": "none"})  # the same file for the same figures
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    FigureCanvasSVG(figure)
    plot = figure.add_subplot(xscale="log", yscale="log", xlabel=axis, ylabel="CPU seconds")
    for row in rows:
        label = f"{row['cost']} (n^{exponent(row)})"
        (line,) = plot.plot(row["sizes"], row["seconds"], marker="o", label=label)
        ends = [row["sizes"][-1], row["far"]], [row["seconds"][-1], row["far_s"]]
        plot.plot(*ends, linestyle=":", marker="x", color=line.get_color())
    plot.plot([], [], linestyle=":", marker="x", color="grey", label="extrapolated")
    plot.grid(alpha=0.3)
    plot.legend()
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def draw_all(page: Path = PAGE) -> None:
    """Write the plots and the table from the kept result."""
    rows = json.loads((RESULTS / "growth.json").read_text(encoding="utf-8"))["cases"]
    for axis in FAR:
        draw(axis, [row for row in rows if row["axis"] == axis], page.parent / f"scaling_{axis}.svg")
    page.write_text(
        with_table(page.read_text(encoding="utf-8"), "table", markdown(HEADINGS, map(cells, rows))), encoding="utf-8"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print, or draw."""
    parser = CommandParser(prog="python -m benchmarks.growth", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draw", action="store_true", help="draw the kept result and write its table, measure nothing")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: does it run?")
    arguments = parser.parse_args(argv)
    if arguments.draw:
        draw_all()
        return 0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = [fitted(cost) for cost in costs(Path(folder), arguments.quick)]
    finally:
        torch.set_num_threads(threads)
    shown = Table(*HEADINGS)
    for row in rows:
        shown.add_row(*cells(row))
    Console(width=120).print(shown)
    # the published procedure grows with the findings on a film, ours must not
    ours = next(row for row in rows if row["cost"] == "mining")
    claims = {} if arguments.quick else {"0.2 less the exponent of mining by findings": (0.2 - ours["exponent"], 0.0)}
    print_result("growth", rows, claims)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
