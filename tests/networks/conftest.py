"""Tiny language models on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers

from experiments.language_models.tokenizer import train_tokenizer
from tests.networks.tiny_language_models import REPORTS, SIZES


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
