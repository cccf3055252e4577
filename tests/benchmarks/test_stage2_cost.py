"""Computed costs: operations as in the usual estimate, bytes as a small model really has them."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig

from benchmarks.stage2_cost import RECIPES, Recipe, cost, language_model, nf4_bytes, operations

SMALL = LlamaConfig(
    vocab_size=512, hidden_size=128, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4, use_cache=False
)


def test_operations_are_two_per_weight_and_token() -> None:
    """Forward 2 P t, and as much backward where only the inputs have gradients; attention adds a little."""
    model = language_model(SMALL)
    linear = sum(each.weight.numel() for each in model.modules() if isinstance(each, torch.nn.Linear))
    forward, backward = operations(model, 16)
    attention = 2 * 2 * 16 * 16 * 128 * 3
    assert forward == 2 * linear * 16 + attention
    assert backward == pytest.approx(2 * linear * 16 + 2 * attention, rel=0.1)


def test_bytes_of_nf4_weights() -> None:
    model = language_model(SMALL)
    whole = sum(each.numel() for each in model.parameters())
    packed = 3 * (4 * 128 * 128 + 3 * 128 * 256)  # the layers' matrices
    assert nf4_bytes(model) == packed * (0.5 + 1 / 64) + (whole - packed) * 2


def test_a_reward_step_costs_what_its_passes_do() -> None:
    found = cost("small", Recipe(SMALL, 10, 20, checkpointing=False, batch=2))
    forward, backward = operations(language_model(SMALL), 10 + 42 + 40 + 20)
    assert found["supervised_tflop"] == pytest.approx((forward + backward) / 1e12)
    assert found["reward_tflop"] == pytest.approx(8 * (3 * forward + backward) / 1e12)
    checked = cost("small", Recipe(SMALL, 10, 20, checkpointing=True, batch=2))
    assert checked["supervised_tflop"] == pytest.approx((2 * forward + backward) / 1e12)
    assert checked["supervised_gb"] < found["supervised_gb"]


def test_the_shapes_are_those_of_the_7b_models() -> None:
    sizes = {name: sum(each.numel() for each in language_model(r.config).parameters()) for name, r in RECIPES.items()}
    assert sizes == {"paper": 6_738_415_616, "modern": 7_615_616_512}
