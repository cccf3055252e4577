"""Tiny language models on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from experiments.language_models.tokenizer import train_tokenizer
from tests.networks.tiny_language_models import REPORTS, SIZES, TWO_REPORTS


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder with a tiny random model of a family, made once."""
    root = tmp_path_factory.mktemp("models")

    def make(family: str = "Llama") -> Path:
        path = root / family
        if not path.exists():
            torch.manual_seed(0)
            config = getattr(transformers, f"{family}Config")(**SIZES)
            model = getattr(transformers, f"{family}ForCausalLM")(config)
            model.save_pretrained(path)
            train_tokenizer(REPORTS, 300).save_pretrained(path)
        return path

    return make


@pytest.fixture(scope="module")
def plain_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random Llama whose heads are all its own."""
    path = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    train_tokenizer(TWO_REPORTS, 300).save_pretrained(path)
    config = transformers.LlamaConfig(
        vocab_size=320, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2
    )
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    return path
