"""Compares batched mining of regions with the published procedure: ``python -m benchmarks.mining``.

The peer follows the paper's description, on the same network and films. For each film and each of its labelled findings
it makes one forward and one full backward pass. It scales the finding's Grad-CAM to [0, 1], draws it at 224 px, and
takes the 6 strongest 16-px squares with a mean above 0.75. Each square is cut out, drawn at 224 px and encoded by
itself. Ours is what ``predict`` runs: one forward pass of the batch, the maps of all 14 findings from one batched
backward pass that ends at the encoder's tokens, and region tokens from the same pass (``feature``). ``crop`` is our way
to the peer's output: the same squares, encoded in batches of as many as there are films. The two must agree, except for
squares of equal mean, or the benchmark fails.

The network is a Swin-T at 224 px with random weights and a 2-layer Q-Former of width 192; every finding is predicted.
Maps of random weights are rougher than those of a trained network, so few squares have a mean above 0.75. The rows
therefore use the 6 strongest squares whatever their mean, so that a finding costs the peer 6 regions as in the paper;
one row keeps the limit of 0.75. Times are medians over rounds of both sides in turn. Prints a table, the cost by number
of findings on a film, memory, and the arithmetic for 377,110 films; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ammrg.commands.parser import CommandParser
from ammrg.findings import ABNORMAL, FINDINGS, NUM_FINDINGS
from ammrg.maps import shows_place
from ammrg.memory.regions import Region
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.mining import mine_regions
from benchmarks.agreement import check_gaps, gap

SIDE, PATCH, STRONGEST = 224, 16, 6
PUBLISHED, ANY = 0.75, 1e-6
"""Least mean of a square: the published one, and practically none."""
SAME_MEAN = 1e-4
"""Means of squares, in [0, 1], that differ by less than this differ by rounding only."""
MIMIC_FILMS = 377_110
SWINS = {
    "swin-t": {},  # transformers' defaults
    "swin-l": {"embed_dim": 192, "depths": [2, 2, 18, 2], "num_heads": [6, 12, 24, 48]},
}
QFORMERS = {
    "192 x 2": {"width": 192, "layers": 2, "heads": 6, "cross_attention_every": 1, "positions": False},
    "768 x 12": {"width": 768, "layers": 12, "heads": 12, "positions": False},
}


def build(swin: str, qformer: str) -> DiseaseClassifier:
    torch.manual_seed(0)
    encoder = {"config": {"model_type": "swin", "image_size": SIDE, **SWINS[swin]}}
    network = DiseaseClassifier(encoder, QFORMERS[qformer]).eval()
    network.thresholds.zero_()
    return network


def draw_films(count: int, findings: int) -> tuple[Tensor, Tensor]:
    """Films of smooth noise, so that crops differ, with ``findings`` positive labels each."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(count, 1, 14, 14, generator=generator) * 255
    films = F.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic").clamp(0, 255).to(torch.uint8)
    labels = torch.zeros(count, NUM_FINDINGS)
    for film in range(count):
        labels[film, torch.tensor(ABNORMAL)[torch.randperm(len(ABNORMAL), generator=generator)[:findings]]] = 1.0
    return films, labels


def published(network: DiseaseClassifier, films: Tensor, labels: Tensor, least: float) -> list[list[Region]]:
    """The published procedure: one film, one finding and one region at a time."""
    kept: list[Tensor] = []

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        output.tokens.retain_grad()
        kept.append(output.tokens)

    mined = []
    for film, label in zip(films, labels, strict=True):
        regions = []
        for finding in (label == 1).nonzero().flatten().tolist():
            network.zero_grad()
            kept.clear()
            hook = network.encoder.register_forward_hook(keep)
            logit = network(film[None]).logits[0, finding]
            hook.remove()
            logit.backward()
            tokens, gradient = kept[0].detach()[0].float(), kept[0].grad[0].float()
            side = int(len(tokens) ** 0.5)
            heat = (tokens @ gradient.mean(0)).relu().reshape(1, 1, side, side)
            if not shows_place(heat[0])[0]:
                continue
            heat = (heat - heat.min()) / (heat.max() - heat.min())
            heat = F.interpolate(heat, size=(SIDE, SIDE), mode="bilinear", align_corners=False)[0, 0]
            means = heat.reshape(SIDE // PATCH, PATCH, SIDE // PATCH, PATCH).mean(dim=(1, 3))
            strongest = means.flatten().argsort(descending=True, stable=True)[:STRONGEST].tolist()
            for row, column in (divmod(place, SIDE // PATCH) for place in strongest):
                if means[row, column] <= least:
                    break
                y, x = row * PATCH, column * PATCH
                piece = film[None, :, y : y + PATCH, x : x + PATCH].float()
                crop = F.interpolate(piece, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
                with torch.no_grad():
                    seen = network.encoder(crop.round().to(torch.uint8)).tokens
                    token = network.qformer.project(seen.mean(dim=1))[0].float()
                box = (x / SIDE, y / SIDE, (x + PATCH) / SIDE, (y + PATCH) / SIDE)
                regions.append(Region(finding, box, float(means[row, column]), token))
        mined.append(regions)
    return mined


def ours(network: DiseaseClassifier, films: Tensor, labels: Tensor, _least: float) -> list[list[Region]]:
    return mine_regions(network, films, labels)[0]


def ours_crops(network: DiseaseClassifier, films: Tensor, labels: Tensor, least: float) -> list[list[Region]]:
    return mine_regions(network, films, labels, form="patches", region_tokens="crop", least=least)[0]


PROCEDURES: dict[str, Callable[[DiseaseClassifier, Tensor, Tensor, float], list[list[Region]]]] = {
    "ours": ours,
    "crop": ours_crops,
    "peer": published,
}


class Agreement(NamedTuple):
    """How ``crop`` and the published procedure compare."""

    squares: int
    """Number of squares of the published procedure."""
    ties: int
    """Number of squares instead of which ``crop`` took another with the same mean."""
    tokens: float
    """Largest difference between tokens of the same square, relative to the largest token."""


def check_equal(network: DiseaseClassifier, films: Tensor, labels: Tensor) -> Agreement:
    """:func:`compare` of all regions of some films."""
    mined = mine_regions(network, films, labels, form="patches", region_tokens="crop", least=ANY)
    mine = [
        [region._replace(score=region.score / float(probabilities[region.finding])) for region in regions]
        for regions, probabilities in zip(mined.regions, mined.probabilities, strict=True)
    ]
    return compare(mine, published(network, films, labels, ANY))


def compare(mine: Sequence[Sequence[Region]], theirs: Sequence[Sequence[Region]]) -> Agreement:
    """Check that the regions of each film and finding are the same squares with the same tokens.

    Which of two squares of nearly equal mean ranks first depends on rounding and on the CPU. So where the sides differ,
    the means must equal those of the weakest chosen squares, to :data:`SAME_MEAN`.

    Args:
        mine: our regions of each film; ``score`` is the mean of the square.
        theirs: the published procedure's regions of each film.

    Raises:
        SystemExit: the squares or tokens differ by more.
    """
    squares = ties = 0
    gaps: dict[str, float] = {}
    for film, sides in enumerate(zip(mine, theirs, strict=True)):
        for finding in {region.finding for side in sides for region in side}:
            here, there = ({_square(r): r for r in side if r.finding == finding} for side in sides)
            means = [sorted(region.score for region in side.values()) for side in (here, there)]
            same_means = len(here) == len(there) and all(abs(a - b) <= SAME_MEAN for a, b in zip(*means, strict=True))
            swapped = [region for at, region in here.items() if at not in there]
            swapped += [region for at, region in there.items() if at not in here]
            if not same_means or any(abs(region.score - means[1][0]) > SAME_MEAN for region in swapped):
                raise SystemExit(
                    f"our regions (crop) differ from those of the published procedure: film {film}, "
                    f"{FINDINGS[finding]}: squares {sorted(here)} and {sorted(there)}, means {means}"
                )
            squares += len(there)
            ties += len(there.keys() - here.keys())
            shared = here.keys() & there.keys()
            gaps |= {f"film {film}, {finding}, {at}": gap(here[at].token, there[at].token) for at in shared}
    return Agreement(squares, ties, check_gaps(gaps, 1e-3, "the tokens of ours (crop) and of the published procedure"))


def _square(region: Region) -> tuple[int, int]:
    """(row, column) of a region's square."""
    return round(region.box[1] * SIDE / PATCH), round(region.box[0] * SIDE / PATCH)


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = run()
    return time.perf_counter() - start, found


def measure(
    network: DiseaseClassifier, films: Tensor, findings: int, rounds: int, *, least: float = ANY, bf16: bool = False
) -> dict[str, Any]:
    """Seconds a film of each procedure: medians over rounds in turn."""
    labels = draw_films(len(films), findings)[1]
    seconds: dict[str, list[float]] = {name: [] for name in PROCEDURES}
    regions = {}
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for number in range(rounds + 1):
            for name, procedure in PROCEDURES.items():
                took, mined = timed(lambda run=procedure: run(network, films, labels, least))
                regions[name] = sum(map(len, mined)) / len(films)
                if number:  # the first round is a warm-up
                    seconds[name].append(took / len(films))
    case: dict[str, Any] = {
        "findings_per_film": findings,
        "least": least,
        "batch": len(films),
        "precision": "bf16" if bf16 else "fp32",
    }
    for name in PROCEDURES:
        case[f"{name}_s"] = statistics.median(seconds[name])
        case[f"{name}_regions_per_film"] = regions[name]
    case["ratio"] = case["peer_s"] / case["ours_s"]
    case["ratio_at_equal_output"] = case["peer_s"] / case["crop_s"]
    return case


def memory_of(name: str, batch: int, findings: int) -> float:
    """MiB by which a fresh process grows while it mines."""
    words = ["--memory-of", name, str(batch), str(findings)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.mining", *words], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def grown(name: str, batch: int, findings: int) -> float:
    network = build("swin-t", "192 x 2")
    films, labels = draw_films(batch, findings)
    PROCEDURES["ours"](
        network, films[:1], labels[:1], ANY
    )  # memory that libraries allocate at first use does not count
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    PROCEDURES[name](network, films, labels, ANY)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 2**20


def work_of(swin: str, qformer: str) -> float:
    """Floating-point operations to mine a film, counted without running them.

    They are a forward pass of encoder and Q-Former, and for each of the 14 findings a backward pass through the
    Q-Former to its tokens. Without gradients of weights this costs as much as a forward pass.
    """
    with torch.device("meta"), torch.no_grad():
        network = build(swin, qformer).requires_grad_(False)
        with FlopCounterMode(display=False) as encoder:
            tokens, grid = network.encoder(torch.zeros(2, 1, SIDE, SIDE, dtype=torch.uint8))
        with FlopCounterMode(display=False) as rest:
            network.classify(tokens, grid)
    return (encoder.get_total_flops() + (1 + NUM_FINDINGS) * rest.get_total_flops()) / 2


def show(cases: Sequence[dict[str, Any]], console: Console) -> None:
    table = Table(title="seconds a film")
    headings = ("precision", "findings", "mean above", "batch", "ours", "ours (crop)", "peer", "peer's regions")
    for column in (*headings, "ratio", "at equal output"):
        table.add_column(column, justify="right")
    for case in cases:
        table.add_row(
            case["precision"],
            str(case["findings_per_film"]),
            "any" if case["least"] == ANY else f"{case['least']:.2f}",
            str(case["batch"]),
            f"{case['ours_s']:.3f}",
            f"{case['crop_s']:.3f}",
            f"{case['peer_s']:.3f}",
            f"{case['peer_regions_per_film']:.1f}",
            f"{case['ratio']:.1f}",
            f"{case['ratio_at_equal_output']:.1f}",
        )
    console.print(table)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = CommandParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, default=8, help="films, one batch of ours (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="2 films, 1 round, 1 and 2 findings: does it run?")
    parser.add_argument("--memory-of", nargs=3, metavar=("NAME", "BATCH", "FINDINGS"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.memory_of:
        name, batch, findings = options.memory_of
        print(grown(name, int(batch), int(findings)))
        return 0
    count, rounds = (2, 1) if options.quick else (options.films, options.rounds)
    numbers = (1, 2) if options.quick else (1, 2, 4, 8)
    console = Console(width=120)
    network = build("swin-t", "192 x 2")
    films = draw_films(count, 1)[0]
    agreement = check_equal(network, films[:2], draw_films(2, 2)[1])
    console.print(
        f"crop and the published procedure take the same {agreement.squares} squares, but for {agreement.ties} of the "
        f"same mean (to {SAME_MEAN:.0e}); their tokens agree to {agreement.tokens:.1e} of the largest value"
    )
    cases = [measure(network, films, number, rounds) for number in numbers]
    first, of_two, last = cases[0], cases[1], cases[-1]
    for case in (first, last):
        case["ours_mib"] = memory_of("ours", count, case["findings_per_film"])
        case["peer_mib"] = memory_of("peer", count, case["findings_per_film"])
    twice = memory_of("ours", 2 * count, 1)
    # Without bf16 instructions it is emulated, tens of times slower, so a row of two films is enough.
    fast = torch.cpu._is_avx512_bf16_supported()
    if not options.quick:
        few = (films, rounds) if fast else (films[:2], 1)
        cases.append(measure(network, films, 2, rounds, least=PUBLISHED))
        cases.append(measure(network, few[0], 2, few[1], bf16=True))
    show(cases, console)

    growth = last["ours_s"] / first["ours_s"]
    console.print(
        f"from {numbers[0]} to {numbers[-1]} findings on a film: ours {growth:.2f} times the time, the peer's "
        f"{last['peer_s'] / first['peer_s']:.2f}"
    )
    console.print(
        f"memory of ours: {count} films, {numbers[0]} finding {first['ours_mib']:.0f} MiB, {numbers[-1]} findings "
        f"{last['ours_mib']:.0f} MiB; {2 * count} films {twice:.0f} MiB; the peer's: {first['peer_mib']:.0f} MiB"
    )
    hours = {name: MIMIC_FILMS * of_two[f"{name}_s"] / 3600 for name in ("ours", "crop", "peer")}
    console.print(
        f"{MIMIC_FILMS:,} films at two findings each, on this machine: "
        + ", ".join(f"{name} {value:,.0f} h" for name, value in hours.items())
    )
    work = {f"{swin}, Q-Former {size}": work_of(swin, size) for swin in SWINS for size in QFORMERS}
    done = work["swin-t, Q-Former 192 x 2"] / of_two["ours_s"]
    for name, operations in work.items():
        console.print(f"{name}: {operations / 1e9:.1f} GFLOP a film")
    console.print(f"ours sustains {done / 1e9:.0f} GFLOP/s here")
    targets = {
        "ours over the published procedure, 2 findings, fp32": (of_two["ratio"], 12.0, True),
        "ours over the published procedure, 1 finding, fp32": (first["ratio"], 6.0, True),
        "growth of ours with the findings on a film": (growth, 1.15, False),
        "growth of ours' memory with the findings on a film": (
            last["ours_mib"] / first["ours_mib"],
            1.15,
            False,
        ),
    }
    result = {
        "benchmark": "mining",
        "cases": cases,
        "targets": {
            claim: {"value": value, "target": target, "met": value >= target if more else value <= target}
            for claim, (value, target, more) in targets.items()
        },
        "ours_mib_of_twice_the_films": twice,
        "mimic_hours_here": hours,
        "flop_per_film": work,
        "agreement": agreement._asdict(),
        "machine": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "cpus": os.cpu_count(),
            "bf16_instructions": fast,
            "system": platform.platform(),
        },
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
