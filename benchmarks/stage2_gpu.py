"""Measures stage 2 with a 7B-class language model in NF4 on a GPU: ``python -m benchmarks.stage2_gpu``.

The language model has Llama-2-7B's shape with random weights (13.5 GB in a temporary folder). Stage 1 is a Swin-L with
a 12-layer Q-Former of width 768 at 224 px. The visual prompt is complete: 49 image tokens, Q_f, and what it recalls
from 7,014 regions and 6,000 reports in the published association space. Stage 1 and language model are frozen, in bf16.

A training step is measured at batch 8 and 16: median seconds, tokens/s (prompt and report without padding), memory, and
the language model's FLOP utilisation. This is the FLOPs that a step needs (forward, and backward to the inputs only,
since weights are frozen; without retrieval and stage 1), relative to a large bf16 matrix product on the same card. Then
generation is measured at batch 1, 16 and 64, greedy and with 3 beams, with equally many new tokens for each study, and
the share of texts that are the same alone and in a batch of 8. Without a GPU it prints a note and ends.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.quantization import Quantization
from ammrg.networks.report_network import ReportNetwork
from ammrg.types import StudyBatch
from benchmarks import mining
from benchmarks._same_texts import same_texts
from benchmarks._stage2_inputs import REPORT_WIDTH, batch_of, draw_bank, draw_batches, draw_studies, on, save_llama
from benchmarks._stage2_step import PUBLISHED_ASSOCIATION, Sizes, Step

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
SIZES = Sizes(association=PUBLISHED_ASSOCIATION)
MAX_REPORT_TOKENS = 100
TRAINED_AT = (8, 16)
WRITTEN_AT = tuple((batch, beams) for batch in (1, 16, 64) for beams in (1, 3))
STEPS, WRITINGS = 7, 3
NEW_TOKENS = 64
COMPARED = 8


def build(
    folder: Path, classifier: DiseaseClassifier, sizes: Sizes, device: torch.device, quantization: Quantization
) -> ReportNetwork:
    """The published sizes around the language model of ``folder``."""
    torch.manual_seed(0)
    dtype = "bfloat16" if device.type == "cuda" else "float32"
    return ReportNetwork(
        classifier,
        LanguageModel(str(folder), quantization, dtype, device=str(device)),
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


def training(network: ReportNetwork, shape: Mapping[str, Any], size: int, peak: float) -> dict[str, Any]:
    """Measure one row: a training step at this batch size."""
    device = network.device
    batch = on(draw_batches(size, 1)[0][0], device)
    lengths, targets = row_lengths(network, batch)
    step = Step(network)
    peak_gib(device)
    taken = [seconds_of(lambda: step(batch), device) for _ in range(STEPS)][2:]
    median = statistics.median(taken)
    flops = step_flops(shape, lengths, targets)
    return {
        "batch": size,
        "tokens": sum(lengths),
        "report_tokens": sum(targets),
        "step_s": median,
        "tokens_per_s": sum(lengths) / median,
        "studies_per_s": size / median,
        "mfu": flops / median / peak,
        "peak_gib": peak_gib(device),
    }


def writing(network: ReportNetwork, size: int, beams: int, new_tokens: int) -> dict[str, Any]:
    """Measure one row: generation at this batch size."""
    device = network.device
    batch = on(batch_of(draw_studies(size)), device)
    fixed = {"max_new_tokens": new_tokens, "min_new_tokens": new_tokens, "num_beams": beams}
    peak_gib(device)
    taken = [seconds_of(lambda: network.generate(batch, **fixed), device) for _ in range(WRITINGS)]
    median = statistics.median(taken[1:])
    return {
        "batch": size,
        "beams": beams,
        "s": median,
        "tokens_per_s": size * new_tokens / median,
        "peak_gib": peak_gib(device),
    }


def measure(
    console: Console,
    classifier: DiseaseClassifier | None = None,
    shape: Mapping[str, Any] = LLAMA7B,
    sizes: Sizes = SIZES,
    device_name: str = "cuda",
    quantization: Quantization = "nf4",
    trained_at: Sequence[int] = TRAINED_AT,
    written_at: Sequence[tuple[int, int]] = WRITTEN_AT,
    new_tokens: int = NEW_TOKENS,
) -> dict[str, Any] | None:
    """All rows; None if there is no such device."""
    from transformers.utils.logging import disable_progress_bar

    device = torch.device(device_name)
    if device.type == "cuda" and not torch.cuda.is_available():
        console.print("there is no GPU here: the 7B-class part is left out")
        return None
    disable_progress_bar()
    peak = card_flops(device)
    with tempfile.TemporaryDirectory() as name:
        save_llama(Path(name), shape, device_name)
        if device.type == "cuda":
            torch.cuda.empty_cache()
        network = build(Path(name), classifier or mining.build("swin-l", "768 x 12"), sizes, device, quantization)
        steps = [training(network, shape, size, peak) for size in track(trained_at, "training steps", console=console)]
        texts = [
            writing(network, size, beams, new_tokens)
            for size, beams in track(written_at, "generation", console=console)
        ]
        share = same_texts(network.eval(), COMPARED, new_tokens)
    show(steps, texts, share, console)
    return {
        "card": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "matmul_tflops": peak / 1e12,
        "quantization": quantization,
        "steps": steps,
        "generation": texts,
        "same_text_alone_and_in_batch": share,
    }


def show(steps: Sequence[dict[str, Any]], texts: Sequence[dict[str, Any]], share: float, console: Console) -> None:
    def memory(row: dict[str, Any]) -> str:
        return "-" if row["peak_gib"] is None else f"{row['peak_gib']:.1f}"

    table = Table("batch", "s a step", "studies/s", "tokens/s", "FLOP utilisation", "GiB", title="training")
    for row in steps:
        table.add_row(
            str(row["batch"]),
            f"{row['step_s']:.3f}",
            f"{row['studies_per_s']:.1f}",
            f"{row['tokens_per_s']:,.0f}",
            f"{row['mfu']:.0%}",
            memory(row),
        )
    console.print(table)
    table = Table("batch", "beams", "s", "new tokens/s", "GiB", title="generation")
    for row in texts:
        table.add_row(
            str(row["batch"]), str(row["beams"]), f"{row['s']:.2f}", f"{row['tokens_per_s']:,.0f}", memory(row)
        )
    console.print(table)
    console.print(f"{share:.0%} of the texts are the same alone and in a batch of {COMPARED}")


def main() -> int:
    """Measure and print."""
    result = measure(Console(width=100))
    if result is not None:
        print(json.dumps({"benchmark": "stage2_gpu", **result}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
