"""Merged matrices: the same output as packed layers, dropped before anything is trained or loaded."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
import torch
from bitsandbytes.nn import Linear4bit

from ammrg.networks import reordered
from ammrg.networks.language_model import LanguageModel
from tests.networks.tiny_language_models import TWO_REPORTS as REPORTS


def adapted(
    plain_llama: Path, quantization: str, lora: dict[str, int] | None, dtype: str | None = None
) -> LanguageModel:
    model = LanguageModel(str(plain_llama), quantization, dtype, lora, device="cpu")  # type: ignore[arg-type]
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def losses(model: LanguageModel, visual: list[torch.Tensor]) -> torch.Tensor:
    return model.target_losses(visual, REPORTS, "describe").values


@pytest.mark.parametrize(
    ("quantization", "lora"), [("nf4", {"rank": 4}), ("nf4", None), ("fp4", {"rank": 2}), ("none", {"rank": 4})]
)
def test_merged_matrices_compute_what_packed_layers_do(
    plain_llama: Path, quantization: str, lora: dict[str, int] | None
) -> None:
    torch.manual_seed(1)
    model = adapted(plain_llama, quantization, lora)
    visual = [torch.randn(3, 64), torch.randn(5, 64)]
    with torch.inference_mode():
        packed, written = losses(model, visual), model.generate(visual, "describe", max_new_tokens=12)
        state = set(model.state_dict())
        assert model.read_unpacked() == 2 * (4 * 64 * 64 + 3 * 64 * 128) * 4  # 7 layers in each of 2 blocks
        torch.testing.assert_close(losses(model, visual), packed, rtol=1e-5, atol=1e-5)
        assert model.generate(visual, "describe", max_new_tokens=12) == written
    assert set(model.state_dict()) == state


@pytest.mark.parametrize(("quantization", "lora"), [("nf4", {"rank": 4}), ("nf4", None), ("none", None)])
def test_bfloat16_matrices_in_onednns_order(
    plain_llama: Path, quantization: str, lora: dict[str, int] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reordered, "has_bf16_instructions", lambda: True)  # elsewhere it is slower, not wrong
    model = adapted(plain_llama, quantization, lora, "bfloat16")
    head = model.model.lm_head
    torch.manual_seed(1)
    visual = [torch.randn(3, 64).bfloat16().requires_grad_(), torch.randn(5, 64).bfloat16().requires_grad_()]

    def read() -> tuple[torch.Tensor, ...]:
        found = losses(model, visual)
        return found.detach(), *torch.autograd.grad(found.sum(), visual)

    packed = read()
    assert model.read_unpacked() == 2 * (2 * (4 * 64 * 64 + 3 * 64 * 128) + head.in_features * head.out_features)
    assert "forward" in head.__dict__
    for ours, theirs in zip(read(), packed, strict=True):
        assert (ours.float() - theirs.float()).norm() < 0.05 * theirs.float().norm()  # a rounding is 0.4%
    model.read_packed()
    assert not any("forward" in module.__dict__ for module in model.modules())
    for ours, theirs in zip(read(), packed, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("quantization", "lora"), [("nf4", {"rank": 4}), ("nf4", None), ("fp4", {"rank": 2})])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_unpacked_matrices_train_as_packed_layers_do(
    plain_llama: Path, quantization: str, lora: dict[str, int] | None, dtype: str
) -> None:
    model = adapted(plain_llama, quantization, lora, dtype).train()
    torch.manual_seed(1)
    visual = [torch.randn(3, 64).requires_grad_(), torch.randn(5, 64).requires_grad_()]
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    assert len(trained) == (28 if lora else 0)  # A and B of 7 layers in each of 2 blocks

    def learn() -> tuple[torch.Tensor, ...]:
        found = losses(model, visual)
        return found.detach(), *torch.autograd.grad(found.sum(), [*visual, *trained.values()])

    packed, state = learn(), set(model.state_dict())
    assert model.weight_form == f"packed {quantization} weights"
    assert model.train_unpacked() == 2 * (4 * 64 * 64 + 3 * 64 * 128) * model.compute_dtype.itemsize
    assert model.weight_form == f"{dtype} matrices (of {quantization} weights)"
    assert not any(isinstance(module, Linear4bit) for module in model.modules())
    assert set(model.state_dict()) == state
    assert {name for name, each in model.named_parameters() if each.requires_grad} == set(trained)
    for ours, theirs in zip(learn(), packed, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    assert model.train_unpacked() == 0  # nothing is packed any more
    with torch.no_grad(), model.reading_unpacked():
        read = losses(model, visual)
        if lora:
            assert model.weight_form == f"merged {dtype} matrices (of {quantization} weights)"
    assert (read.float() - packed[0].float()).norm() < 0.02 * packed[0].float().norm()


def test_training_and_loading_end_it(plain_llama: Path) -> None:
    torch.manual_seed(2)
    model, other = adapted(plain_llama, "nf4", {"rank": 4}), adapted(plain_llama, "nf4", {"rank": 4})
    visual = [torch.randn(3, 64), torch.randn(5, 64)]
    model.read_unpacked()
    model.load_state_dict(other.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(losses(model, visual), losses(other, visual))
    model.read_unpacked()
    model.train()
    losses(model, visual).mean().backward()
    moved = [parameter.grad for name, parameter in model.named_parameters() if "lora_" in name]
    assert all(gradient is not None and bool(gradient.any()) for gradient in moved)


def test_reading_unpacked_takes_the_present_weights_and_ends(plain_llama: Path) -> None:
    torch.manual_seed(2)
    model = adapted(plain_llama, "nf4", {"rank": 4})
    visual = [torch.randn(3, 64), torch.randn(5, 64)]
    for _ in range(2):
        with torch.no_grad(), model.reading_unpacked():
            unpacked = losses(model, visual)
        packed = losses(model, visual)  # the packed layers, and their adapters, learn
        torch.testing.assert_close(unpacked, packed.detach(), rtol=1e-5, atol=1e-5)
        packed.mean().backward()
        adapters = [each for name, each in model.named_parameters() if "lora_" in name]
        assert all(each.grad is not None and bool(each.grad.any()) for each in adapters)
        with torch.no_grad():
            for each in adapters:
                each.add_(torch.randn_like(each))
    with pytest.raises(KeyboardInterrupt), model.reading_unpacked():
        raise KeyboardInterrupt
    assert not any("forward" in module.__dict__ for module in model.modules())


def test_without_memory_for_it_the_layers_stay_packed(plain_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = adapted(plain_llama, "nf4", {"rank": 4})
    little = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    assert model.read_unpacked() == 0
    assert model.train_unpacked() == 0
    assert not any("forward" in module.__dict__ for module in model.modules())
