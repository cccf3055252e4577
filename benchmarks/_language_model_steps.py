"""Steps of a language model of 7B's shape on a device: training in NF4, rewards, and generation.

The language model has Llama-2-7B's shape with random weights (13.5 GB in a temporary folder, made on the device). The
visual prompt is complete: 49 image tokens, Q_f, and what it recalls from 7,014 regions and 6,000 reports in the
published association space. Stage 1 and language model are frozen.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.report_network import ReportNetwork
from ammrg.networks.stage2_settings import RewardSettings
from ammrg.types import StudyBatch
from benchmarks._stage2_inputs import REPORT_WIDTH, batch_of, draw_bank, draw_batches, draw_studies, on
from benchmarks._stage2_step import Sizes, Step
from lightning_modules.reward_training import RewardTraining

LLAMA7B = {
    "vocab_size": 32_000,
    "hidden_size": 4096,
    "intermediate_size": 11_008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
MAX_REPORT_TOKENS = 100


def build(folder: Path, classifier: DiseaseClassifier, sizes: Sizes, device: torch.device) -> ReportNetwork:
    """A network around the language model of ``folder``, in NF4."""
    torch.manual_seed(0)
    dtype = "bfloat16" if device.type == "cuda" else "float32"
    return ReportNetwork(
        classifier,
        LanguageModel(str(folder), "nf4", dtype, device=str(device)),
        draw_bank("regions", sizes.regions, classifier.width),
        draw_bank("reports", sizes.reports, REPORT_WIDTH),
        hopfield={"association_width": sizes.association, "heads": 6, "beta": 4.0},
        max_report_tokens=MAX_REPORT_TOKENS,
    ).to(device)


def seconds_of(call: Callable[[], Any], device: torch.device) -> float:
    """Seconds of a call, until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def card_flops(device: torch.device) -> float:
    """FLOP/s of a large square matrix product, in bf16 on a GPU."""
    side, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (512, torch.float32)
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    taken = [seconds_of(lambda: left @ right, device) for _ in range(20)]
    return 2.0 * side**3 / statistics.median(taken[5:])


def step_flops(shape: Mapping[str, Any], lengths: Sequence[int], targets: Sequence[int]) -> float:
    """FLOPs of the language model's training step on rows of these lengths, each with so many targets.

    A linear layer takes 2 FLOP a weight and token forward, and as many backward, since its weights are frozen and only
    its inputs have a gradient. Causal attention has two products over half the square forward, and twice that backward.
    """
    width, layers = shape["hidden_size"], shape["num_hidden_layers"]
    kv = width * shape["num_key_value_heads"] / shape["num_attention_heads"]
    linear = layers * (2 * width * width + 2 * width * kv + 3 * width * shape["intermediate_size"])
    head = width * shape["vocab_size"]
    attention = sum(2 * layers * width * length**2 for length in lengths)
    return 4.0 * linear * sum(lengths) + 4.0 * head * sum(targets) + 3.0 * attention


def row_lengths(network: ReportNetwork, batch: StudyBatch) -> tuple[list[int], list[int]]:
    """(numbers of tokens read, numbers of targets) of the studies of a training batch."""
    with torch.no_grad():
        shown = network.prompt(batch)
        owners = network.target_losses(batch, shown).report_of_token
    targets = torch.bincount(owners, minlength=len(batch.reports)).tolist()
    model = network.language_model
    words = [sum(map(len, model.prompt_parts(instruction))) for instruction in shown.instructions]
    lengths = [
        len(tokens) + count + target - 1  # the last target is never an input
        for tokens, count, target in zip(shown.tokens, words, targets, strict=True)
    ]
    return lengths, targets


def peak_gib(device: torch.device) -> float | None:
    """Peak GPU memory since the last call, in GiB; None without a GPU."""
    if device.type != "cuda":
        return None
    peak = torch.cuda.max_memory_allocated(device) / 2**30
    torch.cuda.reset_peak_memory_stats(device)
    return peak


def training(network: ReportNetwork, shape: Mapping[str, Any], size: int, peak: float, steps: int) -> dict[str, Any]:
    """Measure one row: a training step at this batch size.

    The FLOP utilisation is that of the language model: the FLOPs that a step needs (forward, and backward to the inputs
    only, without retrieval and stage 1), relative to a large matrix product on the same device.
    """
    device = network.device
    batch = on(draw_batches(size, 1)[0][0], device)
    lengths, targets = row_lengths(network, batch)
    step = Step(network)
    peak_gib(device)
    median = statistics.median([seconds_of(lambda: step(batch), device) for _ in range(steps)][steps // 3 :])
    flops = step_flops(shape, lengths, targets)
    return {
        "batch": size,
        "tokens": sum(lengths),
        "report_tokens": sum(targets),
        "s": median,
        "tokens_per_s": sum(lengths) / median,
        "studies_per_s": size / median,
        "tflop_per_s": flops / median / 1e12,
        "mfu": flops / median / peak,
        "peak_gib": peak_gib(device),
    }


class Rewarded(Step):
    """One step of reward training: 8 samples a study are drawn, rewarded and compared."""

    def __init__(self, network: ReportNetwork, reports: Sequence[str]) -> None:
        super().__init__(network)
        self.training = RewardTraining(RewardSettings())
        self.training.keep(network)
        self.training.prepare(reports)

    def loss(self, batch: StudyBatch) -> Tensor:
        """Mean loss of the samples."""
        seen = self.network.see(batch.images)
        found = self.training.step(self.network, batch, seen, 0, 0, lambda losses: torch.ones_like(losses.values))
        self.tokens = found.tokens
        return cast(Tensor, found.loss / (len(batch.reports) * self.training.settings.samples))


def rewarding(network: ReportNetwork, size: int, steps: int) -> dict[str, Any]:
    """Measure one row: a reward step at this batch size, whose random samples have no end, so that all are longest."""
    device = network.device
    batch = on(draw_batches(size, 1)[0][0], device)
    step = Rewarded(network, [study.report for study in draw_studies(64)])
    peak_gib(device)
    median = statistics.median([seconds_of(lambda: step(batch), device) for _ in range(steps)][steps // 3 :])
    return {
        "batch": size,
        "samples": size * step.training.settings.samples,
        "sample_tokens": step.tokens,
        "s": median,
        "sample_tokens_per_s": step.tokens / median,
        "peak_gib": peak_gib(device),
    }


def writing(network: ReportNetwork, size: int, new_tokens: int) -> dict[str, Any]:
    """Measure one row: greedy generation at this batch size, equally many new tokens for each study."""
    device = network.device
    batch = on(batch_of(draw_studies(size)), device)
    fixed = {"max_new_tokens": new_tokens, "min_new_tokens": new_tokens}
    peak_gib(device)
    taken = [seconds_of(lambda: network.generate(batch, **fixed), device) for _ in range(3)]
    median = statistics.median(taken[1:])
    return {
        "batch": size,
        "new_tokens": new_tokens,
        "s": median,
        "tokens_per_s": size * new_tokens / median,
        "peak_gib": peak_gib(device),
    }
