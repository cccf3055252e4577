"""Tiny random language models of several families, and films and reports for them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from torch import Tensor

REPORTS = ["The heart is large.", "No effusion. The lungs are clear. No pneumothorax is seen.", "Normal."]
TWO_REPORTS = ["the heart is large.", "no effusion. the lungs are clear."]
SIZES = {
    "vocab_size": 320,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "pad_token_id": 0,
}


def films(*counts: int) -> list[Tensor]:
    return [torch.randn(count, 64) for count in counts]


def edited(folder: Path, target: Path, file: str, **fields: object) -> Path:
    """A copy of a model folder with other values in one of its JSON files."""
    shutil.copytree(folder, target)
    content = json.loads((target / file).read_text())
    (target / file).write_text(json.dumps({**content, **fields}))
    return target
