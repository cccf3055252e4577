"""Plots and figures of docs/memory_study.md: ``python docs/memory_study.py [--run outputs/phantom/default]``.

Without a run, it studies random patterns only; with a run that has a region memory, its regions too; with a run whose
stage 2 is trained, also the beta of each trained head. It writes ``recall.png``, ``metastable.png``, ``capacity.png``,
``betas.png`` and ``study.json``. Everything is seeded; it takes minutes on two cores.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from ammrg.commands.parser import CommandParser
from ammrg.findings import FINDINGS
from ammrg.memory import bank_files as banks
from ammrg.memory.held_out import Unchecked
from ammrg.networks.hopfield import HopfieldRetrieval

BETAS = tuple(float(value) for value in torch.logspace(-2, 1, 19))
STEPS = (0, 1, 2, 5)
NOISE = 0.5
"""Standard deviation of the noise that is added to stored patterns, whose own is 1."""
WITHIN = 0.05
"""A pattern counts as recalled where the squared error is at most this share of its squared length, and no other stored
pattern is nearer."""
SETTLED = 40
"""Most update steps towards a fixed point."""


class Memory(NamedTuple):
    """A set of patterns to study."""

    name: str
    patterns: Tensor
    """float32 ``[n p]``, layer-normed: squared length p."""
    findings: Tensor | None
    """int64 ``[n]`` for region patterns; None for random ones."""


def tied(width: int, beta: float, steps: int) -> HopfieldRetrieval:
    """Build one head whose association space is the pattern space: the plain Hopfield network."""
    module = HopfieldRetrieval(width, width, width, width, heads=1, beta=beta, dropout=0.0, steps=steps, tolerance=0.0)
    with torch.no_grad():
        for weight in (module.query_weight, module.key_weight, module.value_weight):
            weight.copy_(torch.eye(width))
        module.out.weight.copy_(torch.eye(width))
    return module.eval()


def memories(run: Path | None) -> list[Memory]:
    """Make random patterns, and load a run's regions where it has some."""
    generator = torch.Generator().manual_seed(0)
    regions: list[Memory] = []
    path = run / "memory" / "regions" if run else None
    if path is not None and banks.bank_paths(path)[1].is_file():
        bank = banks.load(path, Unchecked("its patterns are plotted, nothing is evaluated"))
        owned = bank.region_findings >= 0
        patterns = F.layer_norm(bank.patterns[owned], (bank.width,))
        regions = [Memory("regions of a run", patterns, bank.region_findings[owned])]
    n, width = regions[0].patterns.shape if regions else (1560, 128)
    random = F.layer_norm(torch.randn(n, width, generator=generator), (width,))
    return [Memory("random", random, None), *regions]


def noisy(patterns: Tensor, noise: float, seed: int = 1) -> Tensor:
    """Add noise to patterns."""
    generator = torch.Generator().manual_seed(seed)
    return patterns + noise * torch.randn(patterns.shape, generator=generator)


def recalled(found: Tensor, patterns: Tensor) -> float:
    """Compute the share of results ``[n p]`` that are their stored pattern again."""
    close = (found - patterns).square().sum(1) <= WITHIN * patterns.square().sum(1)
    nearest = torch.cat([torch.cdist(part, patterns).argmin(1) for part in torch.split(found, 1024)])
    return float((close & (nearest == torch.arange(len(patterns)))).float().mean())


@torch.no_grad()
def recall_by_beta(memory: Memory) -> dict[int, list[float]]:
    """Compute the share of noisy patterns recalled: update steps -> one share for each beta."""
    states = noisy(memory.patterns, NOISE)[None]
    width = memory.patterns.shape[1]
    return {
        steps: [
            recalled(tied(width, beta, steps)(states, memory.patterns, k=0).tokens[0], memory.patterns)
            for beta in BETAS
        ]
        for steps in STEPS
    }


class FixedPoints(NamedTuple):
    """The fixed points of states that start at the stored patterns."""

    fixed_points: int
    """Number of distinct fixed points."""
    effective_patterns: float
    """Median number of patterns that make up a fixed point: exp(entropy) of its associations."""
    alike: float | None
    """Mean weight of patterns with the same finding as the starting pattern; None for random patterns."""
    chance: float | None
    """The same weight if all patterns had equal weights."""


@torch.no_grad()
def fixed_points(memory: Memory, beta: float) -> FixedPoints:
    """Follow every stored pattern to its fixed point."""
    layer = tied(memory.patterns.shape[1], beta, SETTLED)
    layer.tolerance = 1e-3
    ends = layer(memory.patterns[None], memory.patterns, k=0).tokens[0]
    near = torch.cdist(ends, ends).square() <= 0.01 * memory.patterns.shape[1]
    waiting = torch.ones(len(ends), dtype=torch.bool)
    distinct = 0
    while waiting.any():
        distinct += 1
        waiting &= ~near[int(waiting.nonzero()[0])]
    weights = (beta * ends @ memory.patterns.T).softmax(1)
    entropy = -(weights * weights.clamp(min=1e-30).log()).sum(1)
    alike = chance = None
    if memory.findings is not None:
        same = memory.findings[:, None] == memory.findings
        alike, chance = float((weights * same).sum(1).mean()), float(same.float().mean())
    return FixedPoints(distinct, float(entropy.exp().median()), alike, chance)


@torch.no_grad()
def capacity(width: int, counts: Sequence[int], beta: float) -> list[float]:
    """Compute the share of random patterns recalled, for each number stored; at most 500 of them are tried."""
    generator = torch.Generator().manual_seed(2)
    result = []
    for count in counts:
        patterns = F.layer_norm(torch.randn(count, width, generator=generator), (width,))
        tried = patterns[:500]
        found = tied(width, beta, 2)(noisy(tried, NOISE)[None], patterns, k=0).tokens[0]
        close = (found - tried).square().sum(1) <= WITHIN * width
        result.append(float(close.float().mean()))
    return result


# --- is a sparse association better? ----------------------------------------------------------------------------------


def sparsemax(scores: Tensor) -> Tensor:
    """Project scores onto the simplex (Martins and Astudillo 2016): most associations become exactly 0."""
    ordered = scores.sort(dim=-1, descending=True).values
    sums = ordered.cumsum(-1) - 1
    places = torch.arange(1, scores.shape[-1] + 1)
    size = (places * ordered > sums).sum(-1, keepdim=True)
    return (scores - sums.gather(-1, size - 1) / size).clamp(min=0)


def strongest_only(scores: Tensor, k: int = 8) -> Tensor:
    """Apply a softmax to the k highest scores; the other associations are 0."""
    values, rows = scores.topk(k, dim=-1)
    return torch.zeros_like(scores).scatter(-1, rows, values.softmax(-1))


FORMS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda scores: scores.softmax(-1),
    "sparsemax": sparsemax,
    "softmax over the top 8": strongest_only,
}


@torch.no_grad()
def sparse_forms(memory: Memory) -> dict[str, dict[str, Any]]:
    """Measure each form: the best share recalled over beta, the range of beta within 1% of it, and ms per call."""
    states = noisy(memory.patterns, NOISE)
    scores = torch.randn(224, 7014) * 2
    table = {}
    for name, form in FORMS.items():
        shares = []
        for beta in BETAS:
            found = F.layer_norm(states, states.shape[1:])
            for _ in range(2):  # one update step and the retrieval
                found = form(beta * found @ memory.patterns.T) @ memory.patterns
            shares.append(recalled(found, memory.patterns))
        good = [beta for beta, share in zip(BETAS, shares, strict=True) if share >= max(shares) - 0.01]
        times = []
        for _ in range(9):
            start = time.perf_counter()
            form(scores)
            times.append(time.perf_counter() - start)
        table[name] = {"best": max(shares), "beta": [min(good), max(good)], "ms": 1e3 * statistics.median(times)}
    return table


# --- beta after training ----------------------------------------------------------------------------------------------


@torch.no_grad()
def trained_heads(run: Path) -> dict[str, list[dict[str, float]]]:
    """Measure each head of each memory on the first 64 test studies.

    Returns:
        Memory -> for each head: beta, the spread of the scores over patterns, and the number of patterns that a query
        retrieves (median of exp(entropy)).
    """
    from experiments.runs.run import Run

    opened = Run(run)
    model, datamodule = opened.model(), opened.data
    network = model.network
    seen = []
    for batch in datamodule.predict_dataloader():
        seen.append(network.prompt(batch).states)
        if sum(map(len, seen)) >= 64:
            break
    states = torch.cat(seen)[:64]
    heads = {}
    for name, retrieval in network.retrievals.items():
        found = torch.cat(
            [retrieval.associations(part, getattr(network, f"{name}_patterns")) for part in torch.split(states, 8)]
        )
        logs = found.clamp(min=1e-30).log()
        spread = logs.std(dim=-1).mean(dim=(0, 1))
        retrieved = (-(found * logs).sum(-1)).exp().flatten(0, 1).median(dim=0).values
        heads[name] = [
            {"beta": float(b), "spread": float(s), "effective_patterns": float(n)}
            for b, s, n in zip(retrieval.beta, spread, retrieved, strict=True)
        ]
    return heads


# --- drawing ----------------------------------------------------------------------------------------------------------


def draw(path: Path, panels: Sequence[Callable[[Axes], None]]) -> None:
    """Draw panels side by side, as PNG."""
    figure = Figure(figsize=(5.2 * len(panels), 3.7), dpi=90, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    for place, panel in enumerate(panels):
        panel(figure.add_subplot(1, len(panels), place + 1))
    figure.savefig(path, metadata={"Software": None})


def recall_panel(memory: Memory, shares: dict[int, list[float]]) -> Callable[[Axes], None]:
    """Plot the share recalled over beta, with a line for each number of steps."""

    def panel(axes: Axes) -> None:
        for steps, values in shares.items():
            axes.plot(BETAS, values, marker=".", label=f"{steps} further steps")
        axes.set(xscale="log", xlabel="beta", ylabel="share recalled", ylim=(-0.03, 1.03))
        axes.set_title(f"{memory.name}: {len(memory.patterns)} patterns of {memory.patterns.shape[1]}, noise {NOISE}")
        axes.legend(fontsize=8)

    return panel


def fixed_point_panel(memory: Memory, found: list[FixedPoints]) -> Callable[[Axes], None]:
    """Plot the number of fixed points and the patterns in each over beta."""

    def panel(axes: Axes) -> None:
        axes.plot(BETAS, [each.fixed_points for each in found], marker=".", label="distinct fixed points")
        axes.plot(BETAS, [each.effective_patterns for each in found], marker=".", label="patterns in one (median)")
        axes.set(xscale="log", yscale="log", xlabel="beta", title=memory.name)
        axes.legend(fontsize=8, loc="center left")
        if memory.findings is not None:
            right = axes.twinx()
            right.plot(BETAS, [each.alike or 0.0 for each in found], "k--", lw=1, label="weight on own finding")
            right.axhline(found[0].chance or 0.0, color="grey", lw=0.8, ls=":")
            right.set(ylim=(0, 1.03))
            right.legend(fontsize=8, loc="center right")

    return panel


def main(argv: Sequence[str] | None = None) -> int:
    """Compute, draw and print the study."""
    parser = CommandParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", type=Path, help="a run folder, e.g. outputs/phantom/default")
    parser.add_argument("--out", type=Path, default=Path("docs/memory"), help="default %(default)s")
    arguments = parser.parse_args(argv)
    arguments.out.mkdir(parents=True, exist_ok=True)
    study: dict[str, Any] = {"betas": BETAS}
    studied = memories(arguments.run)
    recall_panels, fixed_point_panels = [], []
    for memory in studied:
        shares = recall_by_beta(memory)
        found = [fixed_points(memory, beta) for beta in BETAS]
        recall_panels.append(recall_panel(memory, shares))
        fixed_point_panels.append(fixed_point_panel(memory, found))
        study[memory.name] = {
            "patterns": list(memory.patterns.shape),
            "recalled": shares,
            "fixed_points": [each._asdict() for each in found],
            "forms": sparse_forms(memory),
        }
        if memory.findings is not None:
            counts = torch.bincount(memory.findings, minlength=len(FINDINGS)).tolist()
            study[memory.name]["findings"] = dict(zip(FINDINGS, counts, strict=True))
    draw(arguments.out / "recall.png", recall_panels)
    draw(arguments.out / "metastable.png", fixed_point_panels)

    counts = [int(value) for value in torch.logspace(1, 5, 9)]
    by_width = {width: capacity(width, counts, beta=1.0) for width in (8, 16, 32, 64)}
    study["capacity"] = {"stored": counts, "recalled": by_width}

    def capacity_panel(axes: Axes) -> None:
        for width, values in by_width.items():
            axes.plot(counts, values, marker=".", label=f"width {width}")
        axes.set(xscale="log", xlabel="patterns stored", ylabel="share recalled", ylim=(-0.03, 1.03))
        axes.set_title(f"random patterns, noise {NOISE}, beta 1, 2 further steps", fontsize=10)
        axes.legend(fontsize=8)

    draw(arguments.out / "capacity.png", [capacity_panel])
    if arguments.run is not None and (arguments.run / "stage2" / "best.ckpt").is_file():
        study["heads"] = trained_heads(arguments.run)

        def beta_panel(name: str, heads: list[dict[str, float]]) -> Callable[[Axes], None]:
            def panel(axes: Axes) -> None:
                places = range(len(heads))
                axes.bar([place - 0.2 for place in places], [head["beta"] for head in heads], 0.4, label="beta")
                axes.bar(
                    [place + 0.2 for place in places], [head["spread"] for head in heads], 0.4, label="spread of scores"
                )
                for place, head in zip(places, heads, strict=True):
                    axes.annotate(
                        f"{head['effective_patterns']:.0f}", (place, 0.1), ha="center", color="white", fontsize=9
                    )
                axes.set(xlabel="head (white: patterns retrieved)", title=f"{name} memory", xticks=list(places))
                axes.legend(fontsize=8)

            return panel

        draw(arguments.out / "betas.png", [beta_panel(name, heads) for name, heads in study["heads"].items()])
    (arguments.out / "study.json").write_text(json.dumps(study, indent=1) + "\n", encoding="utf-8")
    for memory in studied:
        print(memory.name, json.dumps(study[memory.name]["forms"]))
    print(json.dumps({"capacity": by_width, "heads": study.get("heads")}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
