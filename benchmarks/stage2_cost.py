"""Computes what stage 2 and its reward phase cost at 7B, without a GPU: ``python -m benchmarks.stage2_cost``.

Floating-point operations are counted by torch on models without storage (meta tensors), for one study: the frozen
language model reads it forward and backward to its inputs (with gradient checkpointing forward once more). A reward
step reads and writes each sample, reads it by the supervised weights, and then as in supervised training. The prompts
are those of the recipes with one film; the instruction is taken to have 40 tokens.

Memory is that of the weights in NF4 (4 bits and one 8-bit scale for 64 weights; token embeddings and output in
bfloat16), of the activations (Korthikanti et al. 2022, without attention matrices, which are never stored: 34 bytes per
token, channel and layer; with checkpointing 2, and one layer's 34), of the output's logits and their gradient in
float32, and, while samples are written, of the keys and values. Stage 1, the memories and the allocator come on top.

Hours are those of one GPU for an epoch of 150,000 studies, at the sustained rate that is printed. Writing is bound by
bytes rather than operations: its floor is that all weights are read once per token, at the GPU's bandwidth. These are
computed figures; nothing here was measured at 7B.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, LlamaConfig, PretrainedConfig, Qwen2Config

from benchmarks._language_model_steps import LLAMA7B
from benchmarks._result import print_result

STUDIES = 150_000
SAMPLES = 8
INSTRUCTION = 40
FLOPS, BANDWIDTH = 300e12, 3.35e12  # an H100 at a third of its bfloat16 peak; its memory (NVIDIA's data sheet)
NF4_BYTES = 4 / 8 + 1 / 64
QWEN7B = {  # config.json of Qwen2.5-7B-Instruct
    "vocab_size": 152_064,
    "hidden_size": 3584,
    "intermediate_size": 18_944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
}


class Recipe(NamedTuple):
    """What decides the cost of one study."""

    config: PretrainedConfig
    image_tokens: int
    report_tokens: int
    checkpointing: bool
    batch: int
    """Studies per GPU in supervised training; a reward step holds the samples of one study at a time."""

    @property
    def prompt(self) -> int:
        """Tokens: of the film, Q_f, regions, reports (14 each) and the instruction."""
        return self.image_tokens + 3 * 14 + INSTRUCTION

    @property
    def tokens(self) -> int:
        return self.prompt + self.report_tokens


RECIPES = {
    "paper": Recipe(LlamaConfig(**LLAMA7B), 49, 100, checkpointing=False, batch=8),
    "modern": Recipe(Qwen2Config(**QWEN7B), 144, 256, checkpointing=True, batch=8),
}


def language_model(config: PretrainedConfig) -> torch.nn.Module:
    """Frozen, without storage."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config).requires_grad_(False).eval()


def operations(model: torch.nn.Module, tokens: int) -> tuple[int, int]:
    """Operations to read one text: (forward, backward to the inputs)."""
    found = []
    mask = torch.zeros(1, 1, tokens, tokens, device="meta")  # a whole mask is taken as it is, not looked into
    inputs = torch.empty(1, tokens, model.config.hidden_size, device="meta", requires_grad=True)  # type: ignore[union-attr,arg-type]
    with FlopCounterMode(display=False) as counter:
        logits = model(inputs_embeds=inputs, attention_mask=mask, use_cache=False).logits
        found.append(counter.get_total_flops())
        logits.sum().backward()
        found.append(counter.get_total_flops() - found[0])
    return found[0], found[1]


def nf4_bytes(model: torch.nn.Module) -> float:
    """Of the weights as stage 2 holds them."""
    linear = {
        id(each.weight)
        for name, each in model.named_modules()
        if isinstance(each, torch.nn.Linear) and "head" not in name
    }
    return sum(each.numel() * (NF4_BYTES if id(each) in linear else 2) for each in model.parameters())


def cost(name: str, recipe: Recipe) -> dict[str, Any]:
    """Operations, memory and hours of a recipe."""
    model, config = language_model(recipe.config), recipe.config
    forward, backward = operations(model, recipe.tokens)
    reading = forward * (2 if recipe.checkpointing else 1) + backward
    rewarded = SAMPLES * (2 * forward + reading)  # written and read by the supervised weights: once forward each
    weights = nf4_bytes(model)

    def activations(texts: int) -> float:
        layer = 34 * config.hidden_size
        kept = (
            2 * config.hidden_size * config.num_hidden_layers + layer
            if recipe.checkpointing
            else layer * config.num_hidden_layers
        )
        return texts * recipe.tokens * (kept + 2 * 4 * config.vocab_size)

    heads = config.num_key_value_heads * config.hidden_size // config.num_attention_heads
    cache = SAMPLES * recipe.tokens * 2 * 2 * heads * config.num_hidden_layers
    writing = STUDIES * recipe.report_tokens * weights / BANDWIDTH
    return {
        "recipe": name,
        "parameters_billion": sum(each.numel() for each in model.parameters()) / 1e9,
        "tokens": recipe.tokens,
        "weights_gb": weights / 1e9,
        "supervised_tflop": reading / 1e12,
        "supervised_gb": (weights + activations(recipe.batch)) / 1e9,
        "supervised_hours": STUDIES * reading / FLOPS / 3600,
        "reward_tflop": rewarded / 1e12,
        "reward_gb": (weights + max(activations(SAMPLES), cache)) / 1e9,
        "reward_hours": STUDIES * rewarded / FLOPS / 3600,
        "writing_floor_hours": writing / 3600,
    }


def main() -> int:
    rows = [cost(name, recipe) for name, recipe in RECIPES.items()]
    table = Table(title=f"stage 2 at 7B, computed: one GPU at {FLOPS / 1e12:.0f} TFLOP/s, {STUDIES:,} studies an epoch")
    table.add_column("")
    for row in rows:
        table.add_column(row["recipe"], justify="right")
    for key in rows[0]:
        if key != "recipe":
            table.add_row(key.replace("_", " "), *(f"{row[key]:.4g}" for row in rows))
    Console().print(table)
    print_result("stage2_cost", rows, {})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
