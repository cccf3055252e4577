"""The converted EfficientNet-Lite0 against a plain implementation of the published network."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.errors import DataError
from ammrg.networks.visual_encoder import VisualEncoder
from experiments.encoders.efficientnet_lite import MEAN, STD, write_efficientnet_lite0

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel, stride of the first block, expansion and width of each stage (Tan and Le 2019, table 1)."""
FETCHED = Path(__file__).parents[2] / "models" / "efficientnet-lite0"


def blocks() -> list[tuple[int, int, int, int, int]]:
    """(width before, width after, kernel, stride, expansion) of each block."""
    found, before = [], 32
    for count, kernel, stride, expansion, width in STAGES:
        for number in range(count):
            found.append((before, width, kernel, stride if number == 0 else 1, expansion))
            before = width
    return found


def random_state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}

    def convolution(name: str, out: int, inner: int, kernel: int) -> None:
        fan = inner * kernel * kernel
        state[f"{name}.weight"] = torch.randn(out, inner, kernel, kernel, generator=generator) * math.sqrt(2 / fan)

    def norm(name: str, width: int) -> None:
        for field in ("weight", "running_var"):
            state[f"{name}.{field}"] = torch.rand(width, generator=generator) + 0.5
        for field in ("bias", "running_mean"):
            state[f"{name}.{field}"] = torch.randn(width, generator=generator) * 0.1
        state[f"{name}.num_batches_tracked"] = torch.tensor(0)

    convolution("_conv_stem", 32, 3, 3)
    norm("_bn0", 32)
    for number, (before, after, kernel, _, expansion) in enumerate(blocks()):
        name, inner = f"_blocks.{number}", before * expansion
        if expansion > 1:
            convolution(f"{name}._expand_conv", inner, before, 1)
            norm(f"{name}._bn0", inner)
        convolution(f"{name}._depthwise_conv", inner, 1, kernel)
        norm(f"{name}._bn1", inner)
        convolution(f"{name}._project_conv", after, inner, 1)
        norm(f"{name}._bn2", after)
    convolution("_conv_head", 1280, 320, 1)
    norm("_bn1", 1280)
    state["_fc.weight"], state["_fc.bias"] = torch.randn(1000, 1280, generator=generator) * 0.01, torch.zeros(1000)
    return state


def plain(state: dict[str, Tensor], pictures: Tensor) -> Tensor:
    """The published network up to its last feature map; padding "same" as TensorFlow defines it."""

    def convolution(x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        pads = []
        for side in (x.shape[3], x.shape[2]):
            whole = max((math.ceil(side / stride) - 1) * stride + weight.shape[2] - side, 0)
            pads += [whole // 2, whole - whole // 2]
        return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{f}"].view(1, -1, 1, 1) for f in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-3).sqrt() * weight + bias

    x = norm(convolution(pictures, "_conv_stem", 2), "_bn0").clamp(0, 6)
    for number, (before, after, _, stride, expansion) in enumerate(blocks()):
        name, came = f"_blocks.{number}", x
        if expansion > 1:
            x = norm(convolution(x, f"{name}._expand_conv"), f"{name}._bn0").clamp(0, 6)
        x = norm(convolution(x, f"{name}._depthwise_conv", stride, x.shape[1]), f"{name}._bn1").clamp(0, 6)
        x = norm(convolution(x, f"{name}._project_conv"), f"{name}._bn2")
        if stride == 1 and before == after:
            x = x + came
    return norm(convolution(x, "_conv_head"), "_bn1").clamp(0, 6)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Tensor], Path]:
    root = tmp_path_factory.mktemp("efficientnet")
    state = random_state()
    torch.save(state, root / "weights.pth")
    write_efficientnet_lite0(root / "weights.pth", root / "folder")
    return state, root / "folder"


@pytest.mark.parametrize("side", [224, 256])
def test_tokens_are_those_of_the_published_network(converted: tuple[dict[str, Tensor], Path], side: int) -> None:
    state, folder = converted
    encoder = VisualEncoder(pretrained=str(folder)).eval().double()  # in float32, rounding grows to 7e-4
    state = {name: value.double() for name, value in state.items()}
    films = torch.randint(0, 256, (2, 1, side, side), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    with torch.no_grad():
        tokens, grid = encoder(films)
        expected = plain(state, ((films.double() / 255 - MEAN) / STD).expand(-1, 3, -1, -1))
    assert grid == (side // 32, side // 32)
    assert expected.std() > 0.1
    torch.testing.assert_close(tokens, expected.flatten(2).mT, atol=1e-4, rtol=1e-4)


def test_transformers_alone_gives_the_same_network(converted: tuple[dict[str, Tensor], Path]) -> None:
    from transformers import AutoModelForImageClassification

    state, folder = converted
    model = AutoModelForImageClassification.from_pretrained(folder).eval().double()
    state = {name: value.double() for name, value in state.items()}
    pictures = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(2)).double()
    with torch.no_grad():
        expected = F.linear(plain(state, pictures).mean((2, 3)), state["_fc.weight"], state["_fc.bias"])
        torch.testing.assert_close(model(pictures).logits, expected, atol=1e-4, rtol=1e-4)


def test_idle_layers_are_left_out_and_the_network_is_built_again_from_its_settings(
    converted: tuple[dict[str, Tensor], Path],
) -> None:
    encoder = VisualEncoder(pretrained=str(converted[1]), frozen_blocks=5, frozen_statistics=True)
    assert not [name for name, _ in encoder.named_parameters() if "squeeze" in name]
    again = VisualEncoder(**encoder.config)
    again.load_state_dict(encoder.state_dict())
    assert again.config == encoder.config


def test_other_weights_are_refused(tmp_path: Path, converted: tuple[dict[str, Tensor], Path]) -> None:
    state = dict(converted[0])
    state["_blocks.0._gate.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"other\.pth is not EfficientNet-Lite0: .*_gate\.weight"):
        write_efficientnet_lite0(tmp_path / "other.pth", tmp_path / "folder")


@pytest.mark.skipif(not FETCHED.exists(), reason="make models fetches it")
def test_the_fetched_network_knows_a_photograph() -> None:
    from sklearn.datasets import load_sample_image
    from transformers import AutoModelForImageClassification

    photograph = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None] / 255.0
    square = F.interpolate(photograph[..., 0:427, 100:527], 224, mode="bilinear", antialias=True)
    model = AutoModelForImageClassification.from_pretrained(FETCHED).eval()
    with torch.no_grad():
        best = model((square - MEAN) / STD).logits.softmax(1)[0].topk(3)
    assert 698 in best.indices  # "palace"; its other guesses are monastery and stupa
    assert best.values[0] > 0.2
