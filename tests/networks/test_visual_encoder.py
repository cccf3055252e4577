"""The encoder against transformers' own output, and its refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ammrg.errors import SettingsError
from ammrg.networks.visual_encoder import VisualEncoder

VIT: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
BACKBONES: dict[str, tuple[dict[str, Any], int, tuple[int, int], int]] = {
    # model_type: (settings, side of the films, grid, tokens before the patches)
    "resnet": (
        {"embedding_size": 8, "hidden_sizes": [8, 16, 32], "depths": [1, 1, 1], "layer_type": "basic"},
        64,
        (4, 4),
        0,
    ),
    "convnextv2": ({"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "image_size": 64}, 64, (8, 8), 0),
    "swin": (
        {"image_size": 64, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4},
        64,
        (8, 8),
        0,
    ),
    "vit": ({**VIT, "image_size": 64, "patch_size": 16}, 64, (4, 4), 1),
    "deit": ({**VIT, "image_size": 64, "patch_size": 16}, 64, (4, 4), 2),
    "dinov2": (
        {"image_size": 56, "patch_size": 14, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
        56,
        (4, 4),
        1,
    ),
    "dinov2_with_registers": (
        {"image_size": 56, "patch_size": 14, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
        56,
        (4, 4),
        5,
    ),
}


def films(side: int, count: int = 2) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def build(model_type: str, channels: int = 1, **changes: Any) -> VisualEncoder:
    settings = {**BACKBONES[model_type][0], **changes}
    torch.manual_seed(0)
    return VisualEncoder({"model_type": model_type, "num_channels": channels, **settings}).eval()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("model_type", BACKBONES)
def test_tokens_and_grid_are_the_backbones(model_type: str, channels: int) -> None:
    """The same weights in a plain transformers model that gets what it expects: RGB, normalised per channel."""
    from transformers import AutoConfig, AutoModel

    settings, side, grid, prefix = BACKBONES[model_type]
    torch.manual_seed(0)
    plain = AutoModel.from_config(AutoConfig.for_model(model_type, num_channels=channels, **settings)).eval()
    encoder = build(model_type, channels)
    with torch.no_grad():
        expected = plain(((films(side) / 255.0 - 0.5) / 0.25).expand(-1, channels, -1, -1)).last_hidden_state
        tokens, found = encoder(films(side))
    if expected.ndim == 4:
        expected = expected.flatten(2).mT
    assert found == grid
    assert tokens.shape == (2, grid[0] * grid[1], encoder.token_width)
    torch.testing.assert_close(tokens, expected[:, prefix:], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("model_type", BACKBONES)
def test_every_trained_parameter_gets_a_gradient(model_type: str) -> None:
    encoder = build(model_type).train()
    encoder(films(BACKBONES[model_type][1])).tokens.square().sum().backward()
    assert [n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize("model_type", ["resnet", "vit"])
def test_pretrained_folder_is_folded_exactly(tmp_path: Path, model_type: str) -> None:
    """Unequal means and deviations, and (resnet) a stem that pads with zeros, where a bias alone would be wrong."""
    from transformers import AutoConfig, AutoModel, ViTImageProcessor

    settings, side, _, prefix = BACKBONES[model_type]
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    torch.manual_seed(1)
    plain = AutoModel.from_config(AutoConfig.for_model(model_type, num_channels=3, **settings)).eval()
    plain.save_pretrained(tmp_path)
    ViTImageProcessor(size={"height": side, "width": side}, image_mean=mean, image_std=std).save_pretrained(tmp_path)
    encoder = VisualEncoder(pretrained=str(tmp_path)).eval()
    assert encoder.mean == pytest.approx(mean)
    assert encoder.std == pytest.approx(std)
    channels = [(films(side) / 255.0 - m) / s for m, s in zip(mean, std, strict=True)]
    with torch.no_grad():
        expected = plain(torch.cat(channels, dim=1)).last_hidden_state
        tokens = encoder(films(side)).tokens
    if expected.ndim == 4:
        expected = expected.flatten(2).mT
    torch.testing.assert_close(tokens, expected[:, prefix:], atol=2e-5, rtol=1e-4)

    again = VisualEncoder(**encoder.config).eval()  # rebuilt from primitives, without the folder
    again.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(again(films(side)).tokens, tokens)


def test_refusals() -> None:
    with pytest.raises(SettingsError, match="either 'config'"):
        VisualEncoder()
    with pytest.raises(SettingsError, match="model_type"):
        VisualEncoder({"num_channels": 1})
    with pytest.raises(SettingsError, match="no_such_model"):
        VisualEncoder({"model_type": "no_such_model"})
    with pytest.raises(SettingsError, match="no grid"):
        VisualEncoder({"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1})
    with pytest.raises(SettingsError, match="neither a folder"):
        VisualEncoder(pretrained="/no/such/folder")
    with pytest.raises(SettingsError, match=r"96 x 96 do not fit .* 64 pixels"):
        build("vit")(films(96))
    with pytest.raises(ValueError, match="uint8"):
        build("resnet")(films(64).float())
