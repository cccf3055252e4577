"""Measures the gain of several processes: ``python -m benchmarks.scaling``.

Measured here, a thread a process: a training step of stage 1 (``--model``) with the whole batch and with half of it,
the exchange (all-reduce) of its gradients between two processes, and the real step of two. On paper, a step of n
processes takes that of one with an n-th of the batch and an exchange that moves 2 (n - 1) / n of the gradients' bytes;
torch overlaps the two in part, so the sum is the slow end. Then the bytes that the recipes' gradients have (parameters
counted, in float32), and how long their exchange takes over links of a stated speed. Prints tables, then one JSON line.
"""

from __future__ import annotations

import json
import os
import platform
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
import yaml
from peft import LoraConfig, get_peft_model
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.parallel import DistributedDataParallel
from transformers import LlamaConfig, Qwen2Config, Qwen2ForCausalLM

from ammrg.commands.parser import CommandParser
from ammrg.findings import NUM_FINDINGS
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.hopfield import HopfieldRetrieval
from ammrg.networks.lora import linear_layers
from ammrg.networks.visual_prompt import VisualStream
from benchmarks.mining import SWINS
from experiments.encoders.efficientnet_lite import LITE0

CONFIGS = Path(__file__).parent.parent / "experiments" / "configs"
SIDE, BATCH = 224, 32
SWIN_L = {"model_type": "swin", "num_channels": 1, "window_size": 7, **SWINS["swin-l"]}
ENCODERS = {"paper": {"config": SWIN_L}, "small": {"config": {"model_type": "efficientnet", **LITE0}}}
"""Random weights in place of pretrained ones."""
LINKS = {"NVLink, 250 GB/s": 250e9, "PCIe 4, 25 GB/s": 25e9, "100 Gbit/s": 12.5e9, "10 Gbit/s": 1.25e9}
GPUS = 4


def stage1(model: str) -> DiseaseClassifier:
    """The network of a recipe, without a hub."""
    settings = yaml.safe_load((CONFIGS / "stage1" / f"{model}.yaml").read_text())["model"]["init_args"]
    encoder = ENCODERS.get(model, settings["encoder"])
    return DiseaseClassifier(encoder, settings["qformer"], settings.get("head", "per_query"))


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median seconds of a call, after one call that is not counted."""
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def training_step(network: nn.Module, films: Tensor) -> Callable[[], None]:
    """A training step on these films, uint8 ``[v 1 h w]``: forward, backward and AdamW."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    targets = (torch.rand(len(films), NUM_FINDINGS) < 0.1).float()

    def step() -> None:
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(network(films).logits, targets).backward()
        optimizer.step()

    return step


def measure(rank: int, port: int, model: str, repeats: int, results: Any) -> None:
    """Measure as one of two processes; the first puts its medians into ``results``."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.manual_seed(0)
    network = stage1(model)
    films = torch.randint(0, 256, (BATCH, 1, SIDE, SIDE), dtype=torch.uint8)
    half = films[rank::2].contiguous()
    gradients = torch.zeros(sum(p.numel() for p in network.parameters() if p.requires_grad))
    found = {"exchange of gradients": median_seconds(lambda: distributed.all_reduce(gradients), 3 * repeats)}
    distributed.barrier()
    if rank == 0:  # alone: one process leaves the other core idle
        found["one process, whole batch"] = median_seconds(training_step(network, films), repeats)
    distributed.barrier()
    found["one process, half of it"] = median_seconds(training_step(network, half), repeats)
    distributed.barrier()
    found["two processes"] = median_seconds(training_step(DistributedDataParallel(network), half), repeats)
    if rank == 0:
        results.update(found)
    distributed.destroy_process_group()


def trained_parameters() -> dict[str, int]:
    """Number of trained parameters of each recipe, without loading weights."""
    with torch.device("meta"):
        found = {f"stage 1, {model}": count(stage1(model)) for model in ("small", "paper")}
        qwen = Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=152_064,
                hidden_size=3584,
                intermediate_size=18_944,
                num_hidden_layers=28,
                num_attention_heads=28,
                num_key_value_heads=4,
            )
        )
        adapted = get_peft_model(qwen, LoraConfig(r=16, target_modules=linear_layers(qwen)))
    found["stage 2, paper"] = count(joint(1536, 768, LlamaConfig().hidden_size))
    found["stage 2, modern"] = count(joint(768, 768, qwen.config.hidden_size)) + count(adapted)
    return found


def joint(image: int, state: int, language_model: int) -> nn.Module:
    """The trained parts of stage 2 with report patterns of width 768 and the published association width."""
    streams = [VisualStream(width, language_model, 1.0) for width in (image, state, state, state)]
    return nn.ModuleList([*streams, *(HopfieldRetrieval(state, 768, state, association_width=1024) for _ in range(2))])


def count(network: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def main() -> None:
    """Measure, count, print."""
    parser = CommandParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--model", default="small", help="recipe of stage 1 that is measured")
    parser.add_argument("--repeats", type=int, default=5, help="steps a median is taken over")
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with multiprocessing.Manager() as manager:
        shared = manager.dict()
        multiprocessing.spawn(measure, (port, args.model, args.repeats, shared), nprocs=2)
        found = dict(shared)
    found["two processes, on paper"] = found["one process, half of it"] + found["exchange of gradients"]
    console = Console()
    table = Table("stage 1, " + args.model, "seconds", "studies/s")
    for name, seconds in found.items():
        films = {"exchange of gradients": 0, "one process, half of it": BATCH // 2}.get(name, BATCH)
        table.add_row(name, f"{seconds:.3f}", f"{films / seconds:.1f}" if films else "")
    console.print(table)
    parameters = trained_parameters()
    table = Table("gradients", "parameters", "MB", *LINKS, title=f"exchange between {GPUS} GPUs, on paper")
    for name, number in parameters.items():
        moved = 2 * (GPUS - 1) / GPUS * 4 * number
        times = (f"{1000 * moved / speed:,.1f} ms" for speed in LINKS.values())
        table.add_row(name, f"{number / 1e6:,.1f} M", f"{4 * number / 1e6:,.0f}", *times)
    console.print(table)
    machine = {"python": platform.python_version(), "torch": torch.__version__, "cpus": os.cpu_count()}
    print(json.dumps({"benchmark": "scaling", "seconds": found, "parameters": parameters, "machine": machine}))


if __name__ == "__main__":
    main()
