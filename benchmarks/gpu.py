"""Measures what needs a GPU, in ten minutes: ``python -m benchmarks.gpu [--out FILE] [--cpu]``.

hopfield         association with 7,014 and with a million patterns (:mod:`benchmarks.hopfield`)
mining           regions of films with two findings each, by Swin-L and a 12-layer Q-Former of width 768 at 224 px: ours
                 (32 films at once) and the published procedure (:mod:`benchmarks.mining`), in bfloat16
language model   one of Llama-2-7B's shape is drawn on the device and loaded in NF4
training         its step at batch 8 and 16, with the FLOP utilisation (:mod:`benchmarks._language_model_steps`)
generation       64 tokens greedily at batch 1, 16 and 64
reward           a step of reward training: 2 studies, 8 samples each
same texts       the share of studies with the same text alone and in a batch of 8

It needs no network and no files but the checkout's. Each part has a time limit of its own and may fail alone; each row
is added to FILE (JSON, one a line) as soon as it is measured. Ends with one JSON line. ``--cpu`` measures small sizes
on the CPU, to see that it runs; without that and without a GPU it prints a note and ends.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console

from ammrg.commands.parser import CommandParser
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.report_network import ReportNetwork
from benchmarks import hopfield, mining, stage2_cost
from benchmarks._language_model_steps import LLAMA7B, build, card_flops, rewarding, seconds_of, training, writing
from benchmarks._result import print_result
from benchmarks._same_texts import same_texts
from benchmarks._stage2_inputs import SMOLLM2, TINY, overlay, save_llama
from benchmarks._stage2_step import PUBLISHED_ASSOCIATION, Sizes

Row = dict[str, Any]
WHOLE_S = 600
"""The process ends after so many seconds, whatever hangs."""


class Scale(NamedTuple):
    """The sizes of all parts."""

    device: torch.device
    cases: tuple[hopfield.Case, ...]
    films: int
    published_films: int
    shape: Mapping[str, Any]
    sizes: Sizes
    trained_at: tuple[int, ...]
    written_at: tuple[int, ...]
    new_tokens: int
    rewarded_at: int
    compared: int
    steps: int


def on_gpu() -> Scale:
    """What the docstring names."""
    modes = ("forward", "training")
    return Scale(
        torch.device("cuda"),
        (*(hopfield.Case(7014, 16, mode) for mode in modes), hopfield.Case(1_000_000, 16, "forward")),
        32,
        2,
        LLAMA7B,
        Sizes(association=PUBLISHED_ASSOCIATION),
        (8, 16),
        (1, 16, 64),
        64,
        2,
        8,
        7,
    )


def on_cpu() -> Scale:
    """Small enough for a test."""
    shape = SMOLLM2 | TINY | {"tie_word_embeddings": False}
    cases = (hopfield.Case(200, 2, "forward"), hopfield.Case(500, 2, "training"))
    return Scale(torch.device("cpu"), cases, 2, 1, shape, Sizes(70, 60, 8), (2,), (1, 2), 4, 1, 2, 3)


class Parts:
    """What is measured, each part as its rows."""

    def __init__(self, scale: Scale, folder: Path) -> None:
        self.scale, self.folder = scale, folder

    @property
    def limits(self) -> dict[str, tuple[Callable[[], Iterator[Row]], int]]:
        """Part -> (its rows, its limit in seconds), in the order of their weight."""
        return {
            "hopfield": (self.hopfield, 60),
            "mining": (self.mining, 80),
            "language model": (self.loading, 120),
            "training": (self.training, 90),
            "generation": (self.generation, 110),
            "reward": (self.reward, 70),
            "same texts": (self.same, 40),
        }

    def hopfield(self) -> Iterator[Row]:
        device = self.scale.device
        layers = hopfield.rivals(device)
        hopfield.agreement(layers, device)
        rate, meter = hopfield.ceiling(device), hopfield.Meter(device)
        for case in self.scale.cases:
            yield hopfield.measure(case, layers, meter, rate, 16.0)

    def mining(self) -> Iterator[Row]:
        device = self.scale.device
        network = self.classifier.to(device)
        counts = {"ours": self.scale.films, "peer": self.scale.published_films}
        median: dict[str, float] = {}
        for name, count in counts.items():
            films, labels = (each.to(device) for each in mining.draw_films(count, 2))

            def run(name: str = name, films: torch.Tensor = films, labels: torch.Tensor = labels) -> None:
                mining.PROCEDURES[name](network, films, labels, mining.ANY)

            median[name] = statistics.median([seconds_of(run, device) / count for _ in range(4)][1:])
        yield {
            "films": counts["ours"],
            "ours_s": median["ours"],
            "peer_s": median["peer"],
            "ratio": median["peer"] / median["ours"],
        }

    def loading(self) -> Iterator[Row]:
        start = time.perf_counter()
        yield {"tflop_per_s_of_a_product": self.peak / 1e12}
        yield {"parameters": sum(p.numel() for p in self.network.parameters()), "s": time.perf_counter() - start}

    def training(self) -> Iterator[Row]:
        for size in self.scale.trained_at:
            yield training(self.network, self.scale.shape, size, self.peak, self.scale.steps)

    def generation(self) -> Iterator[Row]:
        for size in self.scale.written_at:
            yield writing(self.network, size, self.scale.new_tokens)

    def reward(self) -> Iterator[Row]:
        yield rewarding(self.network, self.scale.rewarded_at, self.scale.steps // 2)

    def same(self) -> Iterator[Row]:
        yield {"share": same_texts(self.network.eval(), self.scale.compared, self.scale.new_tokens)}

    @cached_property
    def classifier(self) -> DiseaseClassifier:
        """Stage 1 with random weights."""
        if self.scale.device.type == "cuda":
            return mining.build("swin-l", "768 x 12")
        stage1 = overlay("stage1")
        return DiseaseClassifier(stage1["encoder"], stage1["qformer"]).eval()

    @cached_property
    def peak(self) -> float:
        """FLOP/s of a large matrix product."""
        return card_flops(self.scale.device)

    @cached_property
    def network(self) -> ReportNetwork:
        """Stage 2 around the language model."""
        save_llama(self.folder, self.scale.shape, str(self.scale.device))
        if self.scale.device.type == "cuda":
            torch.cuda.empty_cache()
        return build(self.folder, self.classifier, self.scale.sizes, self.scale.device)


@contextlib.contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Raise a TimeoutError inside after so many seconds."""

    def over(*_: Any) -> None:
        raise TimeoutError(f"its {seconds} s were over")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def measure(parts: Parts, out: Path, console: Console) -> list[Row]:
    """All rows; each is also added to ``out``."""
    rows: list[Row] = []

    def add(row: Row) -> None:
        rows.append(row)
        with out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        console.print(
            *(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in row.items()),
            sep=", ",
            markup=False,
            highlight=False,
        )

    for part, (found, seconds) in parts.limits.items():
        try:
            with limited(seconds):
                for row in found():
                    add({"part": part, **row})
        except (Exception, SystemExit) as error:  # the minutes of a GPU are not lost for one part
            add({"part": part, "left_out": f"{type(error).__name__}: {error}"})
    return rows


def targets(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """Each claim with its value and the least that meets it."""
    found = {}
    for row in rows:
        if row["part"] == "mining" and "ratio" in row:
            found["mining: ours over the published procedure, 2 findings"] = (row["ratio"], 12.0)
        if row["part"] == "training" and "tflop_per_s" in row:
            claim = f"training at batch {row['batch']}: FLOP/s over those that benchmarks.stage2_cost assumes"
            found[claim] = (row["tflop_per_s"] * 1e12 / stage2_cost.FLOPS, 1.0)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = CommandParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/bench/gpu.jsonl"), help="default: %(default)s")
    parser.add_argument("--cpu", action="store_true", help="small sizes on the CPU: does it run?")
    arguments = parser.parse_args(argv)
    console = Console(width=160)
    if not arguments.cpu and not torch.cuda.is_available():
        console.print("left out: there is no GPU here (--cpu: does it run?)")
        return 0
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    faulthandler.dump_traceback_later(WHOLE_S, exit=True, file=sys.__stderr__)
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = measure(Parts(on_cpu() if arguments.cpu else on_gpu(), Path(folder)), arguments.out, console)
    finally:
        faulthandler.cancel_dump_traceback_later()
    device = "cpu" if arguments.cpu else torch.cuda.get_device_name()
    print_result("gpu", rows, {} if arguments.cpu else targets(rows), {"device": device})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
