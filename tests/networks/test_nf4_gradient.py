"""The CPU trap of bitsandbytes: 4-bit layers must pass gradients after a first forward pass in eval mode."""

from __future__ import annotations

from pathlib import Path

import bitsandbytes as bnb
import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from torch import Tensor
from torch.nn import functional as F

from ammrg.networks.language_model import LanguageModel
from tests.networks.tiny_language_models import TWO_REPORTS as REPORTS


def input_gradient(model: LanguageModel, visual: list[Tensor]) -> Tensor:
    leaves = [tokens.clone().requires_grad_() for tokens in visual]
    model.loss(leaves, REPORTS, "describe").backward()
    return torch.cat([leaf.grad for leaf in leaves]).flatten()


def dequantised(model: LanguageModel, plain_llama: Path) -> LanguageModel:
    """The same model in plain float32, each 4-bit weight replaced by its dequantised value."""
    plain = LanguageModel(str(plain_llama), quantization="none", device="cpu")
    quantised = dict(model.model.named_modules())
    for name, module in plain.model.named_modules():
        if isinstance(quantised[name], bnb.nn.Linear4bit):
            weight = quantised[name].weight
            module.weight.data = dequantize_4bit(weight.data, weight.quant_state).float()
    return plain


@pytest.mark.parametrize("double_pass", ["generate", "validate", "predict"])
def test_nf4_gradient_survives_an_eval_pass(plain_llama: Path, double_pass: str) -> None:
    model = LanguageModel(str(plain_llama), quantization="nf4", compute_dtype="float32", device="cpu")
    visual = [torch.randn(3, 64), torch.randn(5, 64)]
    model.eval()
    if double_pass == "generate":
        model.generate(visual, "describe", max_new_tokens=4)
    elif double_pass == "validate":
        with torch.no_grad():
            model.loss(visual, REPORTS, "describe")
    else:
        with torch.inference_mode():
            model.generate(visual, "describe", max_new_tokens=4)
    model.train()
    ours, truth = input_gradient(model, visual), input_gradient(dequantised(model, plain_llama), visual)
    assert F.cosine_similarity(ours, truth, dim=0) > 0.999
    assert ours.norm() / truth.norm() == pytest.approx(1, abs=1e-3)


def test_nf4_gradient_is_not_that_of_the_unquantised_model(plain_llama: Path) -> None:
    """The comparison above can fail: 4 bits are visible in the gradient."""
    visual = [torch.randn(3, 64), torch.randn(5, 64)]
    four, plain = (LanguageModel(str(plain_llama), quantization=kind, device="cpu") for kind in ("nf4", "none"))
    assert F.cosine_similarity(input_gradient(four, visual), input_gradient(plain, visual), dim=0) < 0.9995


def test_every_4bit_layer_is_cured(plain_llama: Path) -> None:
    model = LanguageModel(str(plain_llama), quantization="nf4", device="cpu", lora={"rank": 2})
    layers = [module for module in model.modules() if isinstance(module, bnb.nn.Linear4bit)]
    assert len(layers) == 2 * 7
    assert not any(layer.support_avx512bf16_for_cpu for layer in layers)
