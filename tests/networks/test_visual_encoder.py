"""The encoder against transformers' own output, and its refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from ammrg.errors import SettingsError
from ammrg.networks.visual_encoder import VisualEncoder

VIT: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
INVERTED: dict[str, Any] = {"image_size": 64, "depth_multiplier": 0.25, "min_depth": 8}
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
    # These pad before their convolutions, in layers or functions of their own.
    "efficientnet": (
        {
            "image_size": 64,
            "width_coefficient": 0.25,
            "hidden_dim": 320,
            "kernel_sizes": [3, 5, 3],
            "in_channels": [32, 16, 24],
            "out_channels": [16, 24, 40],
            "strides": [1, 2, 2],
            "num_block_repeats": [1, 1, 1],
            "expand_ratios": [1, 2, 2],
        },
        64,
        (8, 8),
        0,
    ),
    "mobilenet_v1": (INVERTED, 64, (2, 2), 0),
    "mobilenet_v2": ({**INVERTED, "output_stride": 8}, 64, (8, 8), 0),
}


def films(side: int, count: int = 2) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, side, side), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def build(model_type: str, channels: int = 1, **changes: Any) -> VisualEncoder:
    own = {name: changes.pop(name) for name in ("frozen_blocks", "frozen_statistics") if name in changes}
    settings = {**BACKBONES[model_type][0], **changes}
    torch.manual_seed(0)
    return VisualEncoder({"model_type": model_type, "num_channels": channels, **settings}, **own).eval()


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


MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def save_pretrained(folder: Path, model_type: str, **preprocessor: Any) -> Any:
    """A random RGB model as a local folder, with the preprocessor_config.json of published ones."""
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(1)
    plain = AutoModel.from_config(AutoConfig.for_model(model_type, num_channels=3, **BACKBONES[model_type][0])).eval()
    plain.save_pretrained(folder)
    settings = {"image_mean": MEAN, "image_std": STD, "rescale_factor": 1 / 255, "do_normalize": True, **preprocessor}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return plain


@pytest.mark.parametrize("model_type", BACKBONES)
def test_pretrained_folder_is_folded_exactly(tmp_path: Path, model_type: str) -> None:
    """Unequal means and deviations, and (resnet) a stem that pads with zeros, where a bias alone would be wrong."""
    plain = save_pretrained(tmp_path, model_type)
    _, side, grid, prefix = BACKBONES[model_type]
    encoder = VisualEncoder(pretrained=str(tmp_path)).eval()
    assert encoder.mean == pytest.approx(MEAN)
    assert encoder.std == pytest.approx(STD)
    assert encoder.image_size in (None, side)
    assert encoder.check_films(side) == grid
    channels = [(films(side) / 255.0 - m) / s for m, s in zip(MEAN, STD, strict=True)]
    with torch.no_grad():
        expected = plain(torch.cat(channels, dim=1)).last_hidden_state
        tokens = encoder(films(side)).tokens
    if expected.ndim == 4:
        expected = expected.flatten(2).mT
    torch.testing.assert_close(tokens, expected[:, prefix:], atol=5e-5, rtol=1e-4)

    again = VisualEncoder(**encoder.config).eval()  # rebuilt from primitives, without the folder
    again.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(again(films(side)).tokens, tokens)


def test_the_fold_does_a_third_of_the_stems_work() -> None:
    """The stem of 8 grey films costs what one channel costs, and one film more for the plane of ones."""
    films_seen = films(64, 8)

    def stem_work(encoder: VisualEncoder) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            encoder(films_seen)
        stem = next(n for n, m in encoder.named_modules() if n.endswith("convolution") or n.endswith("projection"))
        return sum(counter.get_flop_counts()[f"VisualEncoder.{stem}"].values())

    for model_type in ("resnet", "vit"):
        assert stem_work(build(model_type, 3)) == stem_work(build(model_type, 1)) * 9 / 8


def test_a_folder_of_another_task_is_read_but_missing_weights_are_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, SwinForImageClassification

    save_pretrained(tmp_path, "swin")
    config = AutoConfig.for_model("swin", num_channels=3, **BACKBONES["swin"][0])
    SwinForImageClassification(config).save_pretrained(tmp_path)
    assert VisualEncoder(pretrained=str(tmp_path)).token_width == 16
    weights = load_file(tmp_path / "model.safetensors")
    lost = "swin.encoder.layers.1.blocks.0.layernorm_before.weight"
    assert weights.pop(lost) is not None
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        SettingsError,
        match=r"1 weights of SwinModel are missing .*layernorm_before\.weight\) and would stay random",
    ):
        VisualEncoder(pretrained=str(tmp_path))


def test_weights_of_a_deeper_network_or_another_shape_are_refused(tmp_path: Path) -> None:
    """A config.json that names fewer layers than there are weights would build another network in silence."""
    from transformers import ViTConfig, ViTForImageClassification

    save_pretrained(tmp_path, "vit")
    two_layers = {**BACKBONES["vit"][0], "num_hidden_layers": 2}
    ViTForImageClassification(ViTConfig(**two_layers)).save_pretrained(tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    for change, message in (
        ({"num_hidden_layers": 1}, r"16 of its weights have no place in ViTModel \(vit\.layers\.1\."),
        ({"intermediate_size": 48}, r"another shape \(layers\.0\..*, expected \[48"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({**said, **change}))
        with pytest.raises(SettingsError, match=message):
            VisualEncoder(pretrained=str(tmp_path))


def test_normalisation_is_the_folders_or_given(tmp_path: Path) -> None:
    save_pretrained(tmp_path, "resnet", do_normalize=False)
    encoder = VisualEncoder(pretrained=str(tmp_path))
    assert (encoder.mean, encoder.std) == ((0.0,) * 3, (1.0,) * 3)
    save_pretrained(tmp_path, "resnet", rescale_factor=1 / 127.5)
    with pytest.raises(SettingsError, match=r"does not scale films to \[0, 1\]"):
        VisualEncoder(pretrained=str(tmp_path))
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(SettingsError, match=r"Give encoder\.mean and encoder\.std"):
        VisualEncoder(pretrained=str(tmp_path))
    assert VisualEncoder(pretrained=str(tmp_path), mean=MEAN, std=STD).mean == tuple(MEAN)


@pytest.mark.parametrize("model_type", ["swin", "vit", "dinov2"])
def test_gradient_checkpointing_changes_no_gradient(model_type: str) -> None:
    side = BACKBONES[model_type][1]
    plain = build(model_type)
    recomputing = VisualEncoder(**{**plain.config, "gradient_checkpointing": True})
    recomputing.load_state_dict(plain.state_dict())
    assert recomputing.config["gradient_checkpointing"] is True
    for encoder in (plain, recomputing):
        encoder.train()
        torch.manual_seed(0)  # stochastic depth
        encoder(films(side)).tokens.square().sum().backward()
    for (name, one), two in zip(plain.named_parameters(), recomputing.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(one.grad, two.grad, msg=name)


def test_a_backbone_from_scratch_is_trained_in_float32() -> None:
    """Whatever its configuration was saved with; the rebuilt network could not tell otherwise."""
    assert {p.dtype for p in build("resnet", dtype="bfloat16").parameters()} == {torch.float32}


def test_refusals() -> None:
    with pytest.raises(SettingsError, match="either 'config'"):
        VisualEncoder()
    with pytest.raises(SettingsError, match="model_type"):
        VisualEncoder({"num_channels": 1})
    with pytest.raises(SettingsError, match="no_such_model"):
        VisualEncoder({"model_type": "no_such_model"})
    with pytest.raises(SettingsError, match="no grid"):
        VisualEncoder({"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1})
    with pytest.raises(SettingsError, match="one token for a whole film"):
        VisualEncoder({"model_type": "vit", "num_channels": 1, **VIT, "image_size": 64, "patch_size": 64})
    with pytest.raises(SettingsError, match=r"encoder\.gradient_checkpointing: .* convnextv2"):
        VisualEncoder({**build("convnextv2").config["config"]}, gradient_checkpointing=True)
    with pytest.raises(SettingsError, match="neither a folder"):
        VisualEncoder(pretrained="/no/such/folder")
    with pytest.raises(SettingsError, match=r"96 x 96 do not fit .* 64 pixels"):
        build("vit")(films(96))
    with pytest.raises(SettingsError, match=r"data\.image_size: films of 96 x 96"):
        build("vit").check_films(96)
    with pytest.raises(ValueError, match="uint8"):
        build("resnet")(films(64).float())


@pytest.mark.parametrize("model_type", ["resnet", "convnextv2"])
def test_tokens_are_centred_where_cell_shift_says(model_type: str) -> None:
    """The centre of what moves a token, by its gradient in the film, averaged over random films and networks."""
    side = 128
    shifts, cells = [], []
    for seed in range(6):
        torch.manual_seed(seed)
        encoder = VisualEncoder({"model_type": model_type, "num_channels": 1, **BACKBONES[model_type][0]}).eval()
        film = torch.randn(4, 1, side, side, requires_grad=True)
        tokens, grid = encoder._encode(film)
        row, column = grid[0] // 2, grid[1] // 2 - 1  # far from the borders
        tokens[:, row * grid[1] + column].square().sum().backward()
        y, x = gradient_centre(film, grid)
        shifts += [y - row - 0.5, x - column - 0.5]
        cells.append(encoder.cell_shift)
    assert sum(shifts) / len(shifts) == pytest.approx(cells[0], abs=0.08)
    assert cells[0] == pytest.approx({"resnet": -7.5 / 16, "convnextv2": 0.0}[model_type])


def gradient_centre(film: torch.Tensor, grid: tuple[int, int]) -> tuple[float, float]:
    """(y, x) of its gradient's square, in cells."""
    assert film.grad is not None
    weight, middle = film.grad.square().sum((0, 1)), torch.arange(film.shape[-1]) + 0.5
    y, x = ((weight.sum(over) * middle).sum() / weight.sum() / film.shape[-1] for over in (1, 0))
    return float(y) * grid[0], float(x) * grid[1]


def test_a_network_without_weights_can_be_built_to_count_its_operations() -> None:
    with torch.device("meta"):
        encoder = build("resnet")
        tokens, grid = encoder(torch.zeros(2, 1, 64, 64, dtype=torch.uint8))
    assert tokens.shape[:2] == (2, grid[0] * grid[1])
    assert encoder.cell_shift == 0


@pytest.mark.parametrize(
    ("model_type", "side", "cell"),
    [("efficientnet", 256, 8), ("mobilenet_v1", 512, 32), ("mobilenet_v2", 256, 8)],
)
def test_tokens_of_stems_that_pad_apart_are_centred_where_cell_shift_says(
    model_type: str, side: int, cell: int
) -> None:
    """Padded at the far end alone, the stem looks 1 pixel further right, the next such layer 2, then 4, ...: token i is
    centred on pixel ``i cell + cell - 1``. By the gradient of the true layers with even, positive weights, which no
    draw moves aside."""
    encoder = build(model_type, **({"output_stride": 8} if model_type == "mobilenet_v2" else {}))
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            squeezes, kernel = "squeeze_excite" in name, parameter.ndim == 4
            parameter.fill_(0.0 if squeezes or name.endswith("bias") else 1 / parameter[0].numel() if kernel else 1.0)
    film = torch.full((1, 1, side, side), 1e-4, requires_grad=True)  # no activation is saturated
    tokens, grid = encoder._encode(film)
    row, column = grid[0] // 2, grid[1] // 2 - 1
    tokens[:, row * grid[1] + column].sum().backward()
    y, x = gradient_centre(film, grid)
    encoder.check_films(side)
    assert [y - row - 0.5, x - column - 0.5] == pytest.approx([encoder.cell_shift] * 2, abs=0.02)
    assert encoder.cell_shift == pytest.approx((cell - 1 + 0.5 - cell / 2) / cell, abs=1e-3)


def test_a_cell_shift_is_of_the_films_size() -> None:
    """The last layer of MobileNet pads a map of 8 cells at its far end, one of 7 on both sides."""
    encoder = build("mobilenet_v1")
    assert encoder.check_films(256) == (8, 8)
    assert encoder.cell_shift == pytest.approx((31.5 - 32 / 2) / 32, abs=1e-3)
    assert encoder.check_films(112) == (4, 4)
    # token 2 of 4 lies at pixel 2 * 32 + 15.5, its cell of 112 / 4 = 28 pixels has its middle at 70
    assert encoder.cell_shift == pytest.approx((2 * 32 + 15.5 - 70) / 28, abs=1e-3)


@pytest.mark.parametrize("model_type", BACKBONES)
def test_a_cell_shift_asks_no_weight(model_type: str) -> None:
    """Nor the fold: the same for RGB, and for weights that say nothing."""
    one, other = build(model_type), build(model_type, 3)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(0)
    other.check_films(other.image_size or 224)
    assert one.cell_shift == other.cell_shift


def test_measuring_leaves_the_backbone_as_it_is() -> None:
    encoder = build("resnet").train()
    frozen = encoder.backbone.get_submodule("embedder").eval()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    encoder.check_films(64)
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())
    assert all(module.training is (module not in set(frozen.modules())) for module in encoder.modules())


def test_what_multiplies_places_is_not_measured() -> None:
    """FocalNet gates its own tokens: what comes out is no place, and its tokens are taken as the patches they are."""
    settings = {"image_size": 64, "embed_dim": 8, "depths": [1, 1], "focal_levels": [1, 1], "focal_windows": [3, 3]}
    assert VisualEncoder({"model_type": "focalnet", "num_channels": 1, **settings}).cell_shift == 0.0


@pytest.mark.parametrize(("model_type", "side"), [("swin", 62), ("efficientnet", 63), ("mobilenet_v2", 61)])
def test_the_fold_is_exact_where_films_are_padded_to_fit(tmp_path: Path, model_type: str, side: int) -> None:
    """Films that no patch or stride divides are padded before the stem: zeros after normalisation, not black."""
    plain = save_pretrained(tmp_path, model_type)
    encoder = VisualEncoder(pretrained=str(tmp_path)).eval()
    seen = [(films(side) / 255.0 - m) / s for m, s in zip(MEAN, STD, strict=True)]
    with torch.no_grad():
        expected = plain(torch.cat(seen, dim=1)).last_hidden_state
        tokens = encoder(films(side)).tokens
    if expected.ndim == 4:
        expected = expected.flatten(2).mT
    torch.testing.assert_close(tokens, expected, atol=5e-5, rtol=1e-4)


def test_a_pretrained_backbone_is_trained_as_one_from_scratch(tmp_path: Path) -> None:
    """transformers gives it in eval mode: no stochastic depth, no dropout, no batch statistics."""
    save_pretrained(tmp_path, "resnet")
    encoder = VisualEncoder(pretrained=str(tmp_path))
    assert all(module.training for module in encoder.modules())
    before = {name: tensor.clone() for name, tensor in encoder.named_buffers() if "running" in name}
    encoder(films(64))
    assert before
    assert not any(torch.equal(tensor, before[name]) for name, tensor in encoder.named_buffers() if "running" in name)
    encoder.eval()
    encoder.check_films(64)
    assert not any(module.training for module in encoder.modules())


@pytest.mark.parametrize("model_type", ["swin", "vit", "dinov2", "convnextv2"])
def test_patches_share_the_middle_of_their_cells(model_type: str) -> None:
    assert build(model_type).cell_shift == 0.0


def test_any_size_where_the_backbone_takes_it() -> None:
    assert build("dinov2").check_films(112) == (8, 8)  # positions are interpolated
    assert build("resnet").check_films(96) == (6, 6)
    assert build("swin").check_films(96) == (12, 12)


def test_a_setting_that_the_backbone_has_not_is_named() -> None:
    with pytest.raises(SettingsError, match=r"model_type 'resnet' has no setting 'depthss'; the nearest: depths"):
        VisualEncoder({"model_type": "resnet", "depthss": [2, 2]})


def test_settings_that_do_not_fit_each_other_are_told() -> None:
    made = {"width_coefficient": 0.25, "depth_coefficient": 0.25, "hidden_dim": 64, "image_size": 64}
    with pytest.raises(SettingsError, match=r"cannot read a film of 64 x 64.*do not fit each other"):
        VisualEncoder({"model_type": "efficientnet", "num_channels": 1, **made})


@pytest.mark.parametrize("model_type", ["efficientnet", "resnet", "vit"])
def test_frozen_blocks_are_never_trained(model_type: str) -> None:
    encoder = build(model_type, frozen_blocks=1).train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    encoder(films(BACKBONES[model_type][1])).tokens.square().sum().backward()
    optimizer.step()
    changed = [not torch.equal(before[name], value) for name, value in encoder.state_dict().items()]
    assert any(changed)
    first = changed.index(True)
    assert first >= 3  # stem and first block come first, with their statistics
    assert not any(changed[:first])
    assert encoder.config["frozen_blocks"] == 1
    with pytest.raises(SettingsError, match=r"frozen_blocks: found 99, but \w+ has \d+ blocks; give 0 to \d+"):
        build(model_type, frozen_blocks=99)


def test_frozen_statistics_do_not_follow_the_films() -> None:
    for frozen in (False, True):
        encoder = build("efficientnet", frozen_statistics=frozen).train()
        before = {name: value.clone() for name, value in encoder.named_buffers()}
        encoder(films(64))
        moved = [name for name, value in encoder.named_buffers() if not torch.equal(before[name], value)]
        assert bool(moved) is not frozen
        encoder.eval()
        assert not any(part.training for part in encoder.modules())
