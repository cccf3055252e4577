"""What is trained is held in float32, whatever the language model computes in."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ammrg.networks.language_model import LanguageModel
from ammrg.networks.quantization import Quantization
from callbacks.averaged_weights import AveragedWeights

REPORTS = ["The heart is large.", "No effusion.", "The lungs are clear."]
LORA = {"rank": 4}


def adapted(folder: Path, quantization: Quantization) -> LanguageModel:
    torch.manual_seed(1)
    return LanguageModel(str(folder), quantization=quantization, compute_dtype="bfloat16", lora=LORA, device="cpu")


def adapters(model: LanguageModel, kind: str = "lora_") -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if kind in name}


def films() -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(count, 64, generator=generator).requires_grad_() for count in (3, 5, 2)]


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("quantization", ["none", "nf4", "int8"])
def test_a_small_step_moves_every_weight_that_has_a_gradient(
    llm_folder: Path, quantization: Quantization, mixed: bool
) -> None:
    """A step of 2e-4 is less than half of bfloat16's spacing beyond 1/16, and was lost there."""
    model, visual = adapted(llm_folder, quantization), films()
    assert model.model.get_input_embeddings().weight.dtype == torch.bfloat16
    trained = adapters(model)
    assert trained
    assert {parameter.dtype for parameter in trained.values()} == {torch.float32}
    before = {name: parameter.detach().clone() for name, parameter in trained.items()}
    reached = {name: torch.zeros_like(parameter, dtype=torch.bool) for name, parameter in trained.items()}
    optimizer = torch.optim.AdamW(trained.values(), lr=2e-4, weight_decay=0.0)
    for _ in range(30):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16) if mixed else nullcontext():
            loss = model.loss(visual, REPORTS, "Describe.")
        loss.backward()
        for name, parameter in trained.items():
            assert parameter.grad is not None
            assert parameter.grad.dtype == torch.float32
            reached[name] |= parameter.grad != 0
        optimizer.step()
    assert torch.isfinite(loss)
    assert all(tokens.grad is not None and tokens.grad.abs().sum() > 0 for tokens in visual)
    for name, parameter in trained.items():
        assert reached[name].float().mean() > 0.9, name
        assert (parameter != before[name])[reached[name]].all(), name


def test_their_average_follows_them(llm_folder: Path) -> None:
    """A thousandth of a small move is less than bfloat16 tells apart: an average would stay where it began."""
    weights = next(iter(adapters(adapted(llm_folder, "none"), "lora_A").values())).detach()
    average, exact = weights.clone(), weights.double()
    follow = AveragedWeights(decay=0.999)
    for step in range(100, 400):
        weights = weights + 2e-4
        average = follow.average(average, weights, step)
        decay = min(0.999, (1 + step) / (10 + step))
        exact = exact * decay + weights.double() * (1 - decay)
    torch.testing.assert_close(average.double(), exact, atol=1e-5, rtol=0)


@pytest.mark.parametrize("saved", [torch.bfloat16, torch.float32])
def test_adapters_saved_in_either_precision_load(llm_folder: Path, saved: torch.dtype) -> None:
    state = {name: tensor.to(saved) for name, tensor in adapted(llm_folder, "nf4").trained_state_dict().items()}
    model = adapted(llm_folder, "nf4")
    with torch.no_grad():
        for parameter in adapters(model).values():
            parameter.fill_(7)
    model.load_trained_state_dict(state)
    for name, parameter in adapters(model).items():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, state[name].float())
