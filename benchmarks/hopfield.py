"""Compares associative retrieval with its rivals: ``python -m benchmarks.hopfield [--quick] [--device cuda]``.

ours     HopfieldRetrieval: projections are absorbed, so that no pattern is ever projected.
peer     the public hflayers layer (github.com/ml-jku/hopfield-layers), installed or on PYTHONPATH; without it its
         columns stay empty. It expands the stored patterns over the batch and projects them for each study.
shared   a fair rival, written here: it absorbs nothing, but projects patterns once a step, and only once in evaluation.

All three have the same weights, and their outputs are compared before anything is timed. Denormal numbers are flushed
for all three, as ``fit`` does: with them the rivals take many times as long, which says nothing of their methods. A
study has 14 states of width 768; there are 6 heads, an association space of 1024 dimensions, and beta 4. Times are
medians of interleaved runs. Memory is the rise of the process's peak in a side's first call, including caches it keeps,
without weights and inputs. Cases that would take longer than ``--patience`` seconds (ours: twice that) or more memory
than is free are skipped with a note, unless they have a target. Prints a table, then one JSON line; takes about twelve
minutes on two cores.

The file is long because it holds one experiment whole: the rivals, the meter and the cases are used by nothing else,
and whoever checks a figure needs all of them.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ammrg.commands.parser import CommandParser
from ammrg.networks.free_memory import free_memory
from ammrg.networks.hopfield import HopfieldRetrieval
from benchmarks.agreement import check_gaps, gap

WIDTH, STATES, HEADS, ASSOCIATION, BETA = 768, 14, 6, 1024, 4.0
TARGET_N, TARGET_BATCH = 7014, 16
TOO_LONG_TO_WARM_UP = 8.0
"""Seconds; a call that is expected to take longer gets no warm-up."""
MOST_RUNS = 5


class Case(NamedTuple):
    """One row of the table."""

    n: int
    batch: int
    mode: str
    """``forward`` (in evaluation, without gradient) or ``training`` (forward and backward)."""
    dropout: float = 0.0
    exclude_self: bool = False
    k: int = 0
    """Number of strongest associations that ours also returns, which no rival can."""

    @property
    def is_target(self) -> bool:
        return self[:3] in ((TARGET_N, TARGET_BATCH, mode) for mode in ("forward", "training")) and self[3:] == (
            0.0,
            False,
            0,
        )


class SharedProjection(nn.Module):
    """The fair rival: it projects every pattern to keys and values once, whatever the batch, and caches in evaluation.

    The affine part of the patterns' norms is folded into the projections, so that its gradient needs no gradient of the
    patterns.
    """

    def __init__(self, layer: HopfieldRetrieval) -> None:
        super().__init__()
        self.layer = layer
        self.kept: tuple[Tensor, Tensor] | None = None

    def project(self, patterns: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised patterns ``[n p]`` -> keys and values ``[h n a]``."""
        m = self.layer
        keys = torch.einsum("np,hap->hna", patterns, m.key_weight * m.key_scale)
        bias = m.value_bias + m.value_weight @ m.value_shift
        return keys, torch.einsum("np,hap->hna", patterns, m.value_weight * m.value_scale) + bias[:, None]

    def forward(self, states: Tensor, normalised: Tensor, mask: Tensor | None) -> Tensor:
        m, (b, s, _) = self.layer, states.shape
        queries = m._queries(states, states.dtype) * m.beta[:, None]  # [b s h a]
        if self.training:
            keys, values = self.project(normalised)
            scores = queries.permute(2, 0, 1, 3).flatten(1, 2) @ keys.mT  # [h (b s) n]
            if mask is not None:
                scores = scores.view(m.heads, b, s, -1).masked_fill_(~mask[:, None], -torch.inf).flatten(1, 2)
            read = F.dropout(scores.softmax(-1), m.dropout) @ values if m.dropout else scores.softmax(-1) @ values
            return m.out(read.view(m.heads, b, s, -1).permute(1, 2, 0, 3).flatten(2))
        if self.kept is None:
            self.kept = self.project(normalised)
        keys, values = self.kept
        if mask is None:
            read = F.scaled_dot_product_attention(
                queries.flatten(0, 1).transpose(0, 1)[None], keys[None], values[None], scale=1.0
            )
            return m.out(read[0].transpose(0, 1).reshape(b, s, -1))
        read = F.scaled_dot_product_attention(
            queries.transpose(1, 2),
            keys.expand(b, -1, -1, -1),
            values.expand(b, -1, -1, -1),
            attn_mask=mask[:, None, None],
            scale=1.0,
        )
        return m.out(read.transpose(1, 2).flatten(2))


def peer_layer(layer: HopfieldRetrieval) -> nn.Module | None:
    """The public layer with our layer's weights; None if it is not installed."""
    try:
        from hflayers import Hopfield
    except ImportError:
        return None
    peer = Hopfield(
        input_size=layer.state_width,
        hidden_size=layer.association_width,
        output_size=layer.out_width,
        stored_pattern_size=layer.pattern_width,
        pattern_projection_size=layer.pattern_width,
        num_heads=layer.heads,
        scaling=float(layer.beta[0]),
        update_steps_max=0,
        dropout=layer.dropout,
        batch_first=True,
    )
    core = peer.association_core
    with torch.no_grad():
        weights = [weight.flatten(0, 1) for weight in (layer.query_weight, layer.key_weight, layer.value_weight)]
        if core.in_proj_weight is not None:
            core.in_proj_weight.copy_(torch.cat(weights))
        else:  # patterns of another width than the states
            for own, weight in zip((core.q_proj_weight, core.k_proj_weight, core.v_proj_weight), weights, strict=True):
                own.copy_(weight)
        # a key bias cancels in the softmax
        biases = (layer.query_bias, torch.zeros_like(layer.query_bias), layer.value_bias)
        core.in_proj_bias.copy_(torch.cat([bias.flatten() for bias in biases]))
        core.out_proj.load_state_dict(layer.out.state_dict())
        for norm, scale, shift in (
            (peer.norm_state_pattern, layer.query_scale, layer.query_shift),
            (peer.norm_stored_pattern, layer.key_scale, torch.zeros_like(layer.key_scale)),
            (peer.norm_pattern_projection, layer.value_scale, layer.value_shift),
        ):
            norm.weight.copy_(scale)
            norm.bias.copy_(shift)
    return peer


class Side:
    """One layer on one case: how to call it, and its expected cost."""

    def __init__(self, name: str, module: nn.Module, call: Callable[[], Tensor], flops: float, mib: float) -> None:
        self.name, self.module, self.call, self.flops, self.mib = name, module, call, flops, mib
        self.seconds: list[float] = []
        self.peak_mib: float | None = None


def sides_of(case: Case, layers: dict[str, nn.Module], device: torch.device) -> list[Side]:
    """Inputs and calls of a case for every available layer."""
    generator = torch.Generator().manual_seed(case.n + case.batch)
    patterns = torch.randn(case.n, WIDTH, generator=generator).to(device)
    states = torch.randn(case.batch, STATES, WIDTH, generator=generator).to(device)
    mask = None
    if case.exclude_self:  # six regions of a study, one after the other
        mask = torch.ones(case.batch, case.n, dtype=torch.bool)
        for row in range(case.batch):
            mask[row, 6 * row : 6 * row + 6] = False
        mask = mask.to(device)
    states.requires_grad_(case.mode == "training")
    b, n, a, p, rows = case.batch, case.n, ASSOCIATION, WIDTH, case.batch * STATES * HEADS
    backward = case.mode == "training"
    small = 2.0 * rows * a * p  # one product of states and one projection
    result = []
    for name, layer in layers.items():
        if name == "ours":
            flops = 4.0 * rows * n * p * (2 if backward else 1) + 4 * small * (3 if backward else 1)
            need = 4.0 * (n * p + min(rows * n, layer.numbers_at_once) * 3)  # larger memories are read in blocks

            def call(layer: Any = layer) -> Tensor:
                return layer(states, patterns, mask, k=case.k).tokens

        elif name == "shared":
            projections = 4.0 * n * p * a * HEADS
            flops = 4.0 * rows * n * a * (3 if backward else 1) + 2 * small * (3 if backward else 1)
            flops += projections * 2 if backward else 0.0
            need = 4.0 * (2 * n * a * HEADS * (2 if backward else 1) + rows * n * (3 if backward else 0))
            normalised = F.layer_norm(patterns, (p,))

            def call(layer: Any = layer, normalised: Tensor = normalised) -> Tensor:
                return layer(states, normalised, mask)

        else:
            flops = (4.0 * b * n * p * a * HEADS + 4.0 * rows * n * a) * (3 if backward else 1)
            need = 4.0 * b * n * (2 * p + 2 * a * HEADS) * (2.2 if backward else 1)
            barred = None if mask is None else (~mask).repeat_interleave(HEADS, 0)[:, None].expand(-1, STATES, -1)

            def call(layer: Any = layer, barred: Tensor | None = barred) -> Tensor:
                stored = patterns.expand(b, n, p)
                return layer((stored, states, stored), association_mask=barred)

        layer.train(backward)
        for module in layer.modules():
            if hasattr(module, "dropout") and isinstance(module.dropout, float):
                module.dropout = case.dropout
        if isinstance(layer, SharedProjection):
            layer.kept = None
        result.append(Side(name, layer, call, flops, need / 2**20))
    return result


class Meter:
    """Measures seconds and peak memory of a call."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.refs = Path("/proc/self/clear_refs")

    def run(self, side: Side, backward: bool) -> float:
        """Make one call; returns its seconds."""
        side.module.zero_grad(set_to_none=True)
        self.wait()
        start = time.perf_counter()
        if backward:
            side.call().sum().backward()
        else:
            with torch.no_grad():
                side.call()
        self.wait()
        return time.perf_counter() - start

    def run_with_memory(self, side: Side, backward: bool) -> tuple[float, float | None]:
        """Make one call; returns its seconds, and its peak memory above the start in MiB (None if unknown)."""
        side.module.zero_grad(set_to_none=True)
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            seconds = self.run(side, backward)
            return seconds, (torch.cuda.max_memory_allocated() - before) / 2**20
        if not self.refs.exists():
            return self.run(side, backward), None
        ctypes.CDLL(None).malloc_trim(0)
        self.refs.write_text("5")  # resets the peak
        start = resident_mib("VmRSS")
        seconds = self.run(side, backward)
        return seconds, resident_mib("VmHWM") - start

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def resident_mib(field: str) -> float:
    """A memory field of ``/proc/self/status``, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def ceiling(device: torch.device) -> float:
    """FLOP/s of one large float32 matrix product on this device."""
    left, right = torch.randn(1344, WIDTH, device=device), torch.randn(WIDTH, TARGET_N, device=device)
    seconds = []
    for _ in range(7):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 2.0 * left.shape[0] * WIDTH * TARGET_N / min(seconds)


def free_mib(device: torch.device) -> float:
    """Free memory of the device, in MiB."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info()[0] / 2**20
    return free_memory() / 2**20


def measure(case: Case, layers: dict[str, nn.Module], meter: Meter, rate: float, patience: float) -> dict[str, Any]:
    """Measure one row: every side's median seconds and peak MiB, or the reason why it was skipped."""
    sides, notes = [], []
    for side in sides_of(case, layers, meter.device):
        expected = side.flops / rate
        if side.mib > 0.8 * free_mib(meter.device):
            notes.append(f"{side.name}: needs about {side.mib / 1024:.0f} GiB")
        elif expected > patience * (2 if side.name == "ours" else 1) and not case.is_target:
            notes.append(f"{side.name}: about {expected:.0f} s")
        else:
            sides.append(side)
    backward = case.mode == "training"
    for side in sides:
        seconds, side.peak_mib = meter.run_with_memory(side, backward)
        if side.flops / rate > TOO_LONG_TO_WARM_UP:
            side.seconds.append(seconds)
    for turn in range(1, MOST_RUNS + 1):  # in turn, so that a busy machine affects all sides equally
        for side in sides:
            if len(side.seconds) < min(turn, runs(case, side.flops / rate)):
                side.seconds.append(meter.run(side, backward))
    row: dict[str, Any] = case._asdict()
    found = {side.name: side for side in sides}
    for name in ("ours", "peer", "shared"):
        side = found.get(name)
        row[f"{name}_s"] = statistics.median(side.seconds) if side else None
        row[f"{name}_mib"] = side.peak_mib if side else None
        row[f"{name}_runs"] = len(side.seconds) if side else 0
    for name, key in (("peer", "ratio"), ("shared", "shared_ratio")):
        row[key] = row[f"{name}_s"] / row["ours_s"] if row[f"{name}_s"] and row["ours_s"] else None
    row["ours_gflops"] = found["ours"].flops / row["ours_s"] / 1e9 if "ours" in found else None
    row["note"] = "; ".join(notes)
    for side in sides:
        side.module.zero_grad(set_to_none=True)
        if isinstance(side.module, SharedProjection):
            side.module.kept = None
    return row


def runs(case: Case, expected: float) -> int:
    """Number of calls for a median: about four seconds of calls, and more than one for a target."""
    least = (2 if expected > 20 else 3) if case.is_target else 1
    return min(MOST_RUNS, max(least, int(4.0 / expected)))


def rivals(device: torch.device) -> dict[str, nn.Module]:
    """All layers that are at hand, with the same weights, on a device."""
    torch.manual_seed(0)
    layer = HopfieldRetrieval(WIDTH, WIDTH, WIDTH, ASSOCIATION, HEADS, BETA, dropout=0.0)
    with torch.no_grad():  # no parameter stays at its initial value, so that comparing outputs tests all of them
        for parameter in layer.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    peer = peer_layer(layer)
    layers = {"ours": layer, "shared": SharedProjection(layer), **({} if peer is None else {"peer": peer})}
    return {name: module.to(device) for name, module in layers.items()}


def agreement(layers: dict[str, nn.Module], device: torch.device) -> dict[str, float]:
    """Largest difference between our tokens and each rival's, relative to our largest token; masked rows too."""
    worst: dict[str, float] = {}
    for exclude in (False, True):
        for mode in ("forward", "training"):
            with torch.no_grad():
                tokens = {side.name: side.call() for side in sides_of(Case(300, 2, mode, 0.0, exclude), layers, device)}
            for name, found in tokens.items():
                worst[name] = max(worst.get(name, 0.0), gap(found, tokens["ours"]))
    return {name: gap for name, gap in worst.items() if name != "ours"}


def cases(quick: bool) -> list[Case]:
    """The table's rows, those with targets first, soon after the machine's speed was measured."""
    if quick:
        return [
            Case(200, 2, "forward"),
            Case(200, 2, "training"),
            Case(200, 2, "training", 0.1, exclude_self=True),
            Case(200, 2, "forward", k=5),
        ]
    target = [Case(TARGET_N, TARGET_BATCH, mode) for mode in ("forward", "training")]
    variants = [
        Case(TARGET_N, TARGET_BATCH, "forward", k=5),
        Case(TARGET_N, TARGET_BATCH, "forward", exclude_self=True),
        Case(TARGET_N, TARGET_BATCH, "training", 0.1),
        Case(TARGET_N, TARGET_BATCH, "training", 0.1, exclude_self=True),
        # the peer also masks and drops, but takes minutes at batch 16
        Case(TARGET_N, 1, "forward", exclude_self=True),
        Case(TARGET_N, 1, "training", 0.1),
        Case(TARGET_N, 1, "training", 0.1, exclude_self=True),
    ]
    grid = [Case(n, b, mode) for mode in ("forward", "training") for n in SIZES for b in (1, 8, 16, 32)]
    return target + variants + [case for case in grid if case not in target]


SIZES = (1_000, TARGET_N, 50_000, 1_000_000)


def targets(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The targets at N = 7,014 and batch 16 with the measured values; empty without a rival."""
    at = {row["mode"]: row for row in rows if Case(*(row[name] for name in Case._fields)).is_target}
    if set(at) != {"forward", "training"}:
        return {}
    memory = [row["peer_mib"] / row["ours_mib"] for row in at.values() if row["peer_mib"] and row["ours_mib"]]
    claims = {
        "forward, times quicker than hflayers": (at["forward"]["ratio"], 40.0),
        "forward + backward, times quicker than hflayers": (at["training"]["ratio"], 15.0),
        "times less memory than hflayers (the lesser of both)": (min(memory, default=None), 5.0),
        "forward + backward, times quicker than patterns projected once": (at["training"]["shared_ratio"], 3.0),
    }
    return {
        claim: {"value": value, "target": target, "met": value >= target}
        for claim, (value, target) in claims.items()
        if value is not None
    }


def show(rows: Sequence[dict[str, Any]], rate: float) -> Table:
    """The printed table."""
    table = Table(padding=(0, 0, 0, 1), pad_edge=False)
    heads = ("N", "batch", "mode", "ours s", "hflayers s", "x", "shared s", "x", "ours MiB", "hflayers", "shared")
    for head in (*heads, "of ceiling", "left out"):
        table.add_column(head, justify="left" if head in ("mode", "left out") else "right")

    def cell(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    for row in rows:
        mode = row["mode"] + (f", dropout {row['dropout']}" if row["dropout"] else "")
        mode += (", own masked" if row["exclude_self"] else "") + (f", top {row['k']}" if row["k"] else "")
        table.add_row(
            f"{row['n']:,}",
            str(row["batch"]),
            mode,
            *(cell(row[key], ".3f") for key in ("ours_s", "peer_s")),
            cell(row["ratio"], ".1f"),
            cell(row["shared_s"], ".3f"),
            cell(row["shared_ratio"], ".1f"),
            *(cell(row[f"{name}_mib"], ",.0f") for name in ("ours", "peer", "shared")),
            "-" if row["ours_gflops"] is None else f"{1e9 * row['ours_gflops'] / rate:.0%}",
            row["note"],
        )
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = CommandParser(prog="python -m benchmarks.hopfield", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two small sizes, to see that it runs; no targets")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    parser.add_argument(
        "--patience",
        type=float,
        default=16.0,
        help="leave out a rival that takes longer, seconds a call; ours may take twice that (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    torch.set_flush_denormal(True)
    device = torch.device(arguments.device)
    console = Console(width=170)
    layers = rivals(device)
    if "peer" not in layers:
        console.print("hflayers is not here (install it or put it on PYTHONPATH): its columns stay empty")
    gaps = agreement(layers, device)
    check_gaps(gaps, 1e-3, "the outputs of our layer and of its rivals")
    rate = ceiling(device)
    meter = Meter(device)
    rows = []
    for case in cases(arguments.quick):
        rows.append(measure(case, layers, meter, rate, arguments.patience))
        console.print(f"{len(rows)}: {case}", style="dim", highlight=False)
    console.print(show(rows, rate))
    result = {
        "benchmark": "hopfield",
        "cases": rows,
        "targets": targets(rows),
        "agreement": gaps,
        "machine": {
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu",
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "matmul_gflops": rate / 1e9,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "system": platform.platform(),
        },
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
