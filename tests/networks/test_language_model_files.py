"""Folders and files of language models: families, quantised and LoRA weights, and what is refused by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from ammrg.errors import CheckpointError, SettingsError
from ammrg.networks.language_model import LanguageModel
from ammrg.networks.lora import linear_layers
from experiments.language_models.tokenizer import train_tokenizer
from tests.networks.tiny_language_models import REPORTS, edited, films

FAMILIES = ("Llama", "Qwen2", "Phi3", "Gemma2", "SmolLM3")


@pytest.mark.parametrize("depth", [1, 3])
def test_weights_of_a_deeper_or_another_network_are_refused(
    folders: Callable[[str], Path], tmp_path: Path, depth: int
) -> None:
    folder = edited(folders("Llama"), tmp_path / "model", "config.json", num_hidden_layers=depth)
    told = (
        r"9 of its weights have no place in LlamaForCausalLM \(model\.layers\.1\."
        if depth == 1
        else "weights are missing"
    )
    with pytest.raises(SettingsError, match=told):
        LanguageModel(str(folder), quantization="none", device="cpu")


def test_weights_of_another_shape_are_named(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = edited(folders("Llama"), tmp_path / "model", "config.json", intermediate_size=96)
    with pytest.raises(SettingsError, match=r"another shape \(.*mlp\.\w+\.weight: \[.*128.*\], expected \[.*96"):
        LanguageModel(str(folder), quantization="none", device="cpu")


def test_state_dict_leaves_the_frozen_model_out_of_any_model_that_holds_it(folders: Callable[[str], Path]) -> None:
    def build() -> nn.ModuleDict:
        lm = LanguageModel(str(folders("Llama")), quantization="nf4", lora={"rank": 2}, device="cpu")
        return nn.ModuleDict({"lm": lm, "model": nn.Linear(2, 2)})

    outer = build()
    state = outer.state_dict()
    assert {key for key in state if "lora_" not in key} == {"model.weight", "model.bias"}
    build().load_state_dict(state, strict=True)
    del state["model.bias"]
    with pytest.raises(RuntimeError, match=r"Missing key.*model\.bias"):
        build().load_state_dict(state, strict=True)


def test_missing_and_unexpected_lora_weights_are_refused(folders: Callable[[str], Path]) -> None:
    folder = str(folders("Llama"))
    adapted = LanguageModel(folder, quantization="none", lora={"rank": 2}, device="cpu")
    plain = LanguageModel(folder, quantization="none", device="cpu")
    assert plain.trained_state_dict() == {}
    with pytest.raises(CheckpointError, match="Unexpected"):
        plain.load_trained_state_dict(adapted.trained_state_dict())
    with pytest.raises(CheckpointError, match="Missing"):
        adapted.load_trained_state_dict({})


@pytest.mark.parametrize("family", FAMILIES)
def test_families(folders: Callable[[str], Path], family: str) -> None:
    model = LanguageModel(str(folders(family)), quantization="nf4", lora={"rank": 2}, device="cpu")
    visual = [tokens.requires_grad_() for tokens in films(2, 5, 3)]
    loss = model.loss(visual, REPORTS, "Describe.")
    loss.backward()
    assert torch.isfinite(loss)
    assert all(tokens.grad is not None and tokens.grad.abs().sum() > 0 for tokens in visual)
    together = model.generate([tokens.detach() for tokens in visual], "Describe.", max_new_tokens=5)
    assert together[1:2] == model.generate([visual[1].detach()], "Describe.", max_new_tokens=5)


def test_embedding_and_head_keep_their_weights_when_quantised(folders: Callable[[str], Path]) -> None:
    model = LanguageModel(str(folders("Llama")), quantization="nf4", device="cpu")
    plain = LanguageModel(str(folders("Llama")), quantization="none", device="cpu")
    assert torch.equal(model.model.lm_head.weight, plain.model.lm_head.weight)
    assert torch.equal(model.model.get_input_embeddings().weight, plain.model.get_input_embeddings().weight)
    assert linear_layers(plain.model) == ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_int8_gives_a_loss_and_a_gradient(folders: Callable[[str], Path]) -> None:
    visual = [tokens.requires_grad_() for tokens in films(2, 5, 3)]
    plain = LanguageModel(str(folders("Llama")), quantization="none", device="cpu")
    eight = LanguageModel(str(folders("Llama")), quantization="int8", device="cpu")
    loss = eight.loss(visual, REPORTS, "Describe.")
    loss.backward()
    exact = plain.loss(visual, REPORTS, "Describe.")
    assert float(loss.detach()) == pytest.approx(float(exact.detach()), rel=0.02)
    assert all(tokens.grad is not None and tokens.grad.abs().sum() > 0 for tokens in visual)


def test_identity_follows_the_weights(folders: Callable[[str], Path], tmp_path: Path) -> None:
    model = LanguageModel(str(folders("Llama")), device="cpu")
    assert model.identity["quantization"] == "nf4"
    same = shutil.copytree(folders("Llama"), tmp_path / "same")
    other = edited(folders("Llama"), tmp_path / "other", "config.json", rms_norm_eps=1e-5)
    prints = [LanguageModel(str(folder), device="cpu").identity["fingerprint"] for folder in (same, other)]
    assert prints[0] == model.identity["fingerprint"] != prints[1]


def test_bad_models_are_refused_by_name(folders: Callable[[str], Path], tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in ("config.json", "model.safetensors"):
        shutil.copy(folders("Llama") / file, bare / file)
    with pytest.raises(SettingsError, match="no tokenizer in this folder"):
        LanguageModel(str(bare), device="cpu")

    foreign = shutil.copytree(folders("Llama"), tmp_path / "foreign")
    train_tokenizer([f"word{number} other{number}" for number in range(400)], 600).save_pretrained(foreign)
    with pytest.raises(SettingsError, match="the embedding only 320 rows"):
        LanguageModel(str(foreign), device="cpu")

    broken = edited(folders("Llama"), tmp_path / "broken", "config.json", num_hidden_layers=3)
    with pytest.raises(SettingsError, match="weights are missing"):
        LanguageModel(str(broken), quantization="none", device="cpu")

    for settings, message in (
        ({"lora": {"targets": ["q_proj", "query"]}}, "'query' matches no layer"),
        ({"lora": {"r": 4}}, "unknown field r"),
        ({"quantization": "nf5"}, "must be nf4"),
        ({"compute_dtype": "half"}, "must be one of float32"),
    ):
        with pytest.raises(SettingsError, match=message):
            LanguageModel(str(folders("Llama")), device="cpu", **settings)


def test_a_folder_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "present").mkdir()
    (tmp_path / "present" / "config.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"absent: no such folder; .* holds present"):
        LanguageModel(str(tmp_path / "absent"), device="cpu")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="neither a complete Hugging Face folder nor"):
        LanguageModel("absent", device="cpu")


def test_broken_files_of_a_folder_are_told_from_no_folder(folders: Callable[[str], Path], tmp_path: Path) -> None:
    for file, said in (
        ("tokenizer.json", "the folder is there, but its tokenizer cannot be read"),
        ("config.json", "the folder is there, but its"),
        ("model.safetensors", "its weights cannot be read"),
    ):
        folder = tmp_path / file.replace(".", "_")
        shutil.copytree(folders("Llama"), folder)
        (folder / file).write_bytes((folder / file).read_bytes()[:100])
        with pytest.raises(SettingsError, match=said):
            LanguageModel(str(folder), device="cpu")


def test_lora_is_refused_by_its_fields(folders: Callable[[str], Path]) -> None:
    for lora, said in (
        ({"rank": 0}, r"lora\.rank \(0\)"),
        ({"dropout": 2.0}, r"lora\.dropout \(2\.0\)"),
        ({"targets": ["norm"]}, r"lora\.targets norm: .* the linear layers are .*q_proj"),
    ):
        with pytest.raises(SettingsError, match=said):
            LanguageModel(str(folders("Llama")), device="cpu", quantization="none", lora=lora)
