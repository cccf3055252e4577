"""EfficientNet-Lite as a folder for transformers' EfficientNet class.

EfficientNet-Lite (Liu 2020, "Higher accuracy on vision models with EfficientNet-Lite") is EfficientNet (Tan and Le
2019) with relu6 instead of swish and without squeeze-and-excitation. transformers' class always has the latter. Here
its ratio is 0 and its weights make it an identity (the sigmoid of 30 is 1 in float32), so the folder gives the
published network in transformers alone; :func:`ammrg.networks.backbone.drop_identities` leaves the idle layers out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ammrg.atomic import write_json
from ammrg.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

LITE0 = {
    "image_size": 224,
    "width_coefficient": 1.0,
    "depth_coefficient": 1.0,
    "hidden_dim": 1280,
    "hidden_act": "relu6",
    "squeeze_expansion_ratio": 0.0,
    "batch_norm_momentum": 0.01,  # torch's: the share of the new batch
    "drop_connect_rate": 0.2,
}
"""Fields of transformers' EfficientNetConfig."""
MEAN, STD = 127 / 255, 128 / 255
"""Normalisation of each channel, for pictures in [0, 1], as the network was trained."""
OPEN_GATE = 30.0
"""Bias of a squeeze-and-excitation gate that lets everything pass: its sigmoid is 1 in float32."""

_OF_BLOCK = {
    "_expand_conv": "expansion.expand_conv",
    "_bn0": "expansion.expand_bn",
    "_depthwise_conv": "depthwise_conv.depthwise_conv",
    "_bn1": "depthwise_conv.depthwise_norm",
    "_project_conv": "projection.project_conv",
    "_bn2": "projection.project_bn",
}
_OUTSIDE = {
    "_conv_stem": "efficientnet.embeddings.convolution",
    "_bn0": "efficientnet.embeddings.batchnorm",
    "_conv_head": "efficientnet.encoder.top_conv",
    "_bn1": "efficientnet.encoder.top_bn",
    "_fc": "classifier",
}


def write_efficientnet_lite0(weights: Path, folder: Path) -> None:
    """Write EfficientNet-Lite0 with its ImageNet head as a transformers folder, in safetensors.

    Args:
        weights: a state dict by the names of efficientnet_lite_pytorch.
        folder: receives config.json, model.safetensors and preprocessor_config.json.

    Raises:
        DataError: a weight is missing, left over or of another shape.
    """
    import torch
    from transformers import EfficientNetConfig, EfficientNetForImageClassification

    model = EfficientNetForImageClassification(EfficientNetConfig(**LITE0, dropout_rate=0.2, num_labels=1000))
    state = {_renamed(name): value for name, value in torch.load(weights, weights_only=True).items()}
    state.update({name: value for name, value in _open_gates(model.state_dict()).items() if name not in state})
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise DataError(f"{weights.name} is not EfficientNet-Lite0: {' '.join(str(error).split())[:300]}") from error
    model.save_pretrained(folder)
    sizes = {"size": {"height": 224, "width": 224}, "do_normalize": True, "rescale_factor": 1 / 255}
    write_json(folder / "preprocessor_config.json", {"image_mean": [MEAN] * 3, "image_std": [STD] * 3, **sizes})


def _renamed(name: str) -> str:
    """The name of a weight in transformers' class; unknown names stay as they are."""
    first, _, rest = name.partition(".")
    if first != "_blocks":
        return f"{_OUTSIDE.get(first, first)}.{rest}"
    number, layer, field = rest.split(".", 2)
    return f"efficientnet.encoder.blocks.{number}.{_OF_BLOCK.get(layer, layer)}.{field}"


def _open_gates(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of squeeze-and-excitation with which it is an identity."""
    import torch

    return {
        name: torch.full_like(value, OPEN_GATE if name.endswith("expand.bias") else 0.0)
        for name, value in state.items()
        if ".squeeze_excite." in name
    }
