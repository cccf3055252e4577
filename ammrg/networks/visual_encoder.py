"""Film -> grid of tokens, through any transformers vision backbone that keeps one.

Shape letters as in :mod:`ammrg.types`; here also ``n`` = tokens of a film, ``e`` = their width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ammrg.errors import SettingsError
from ammrg.networks.evaluating import evaluating
from ammrg.networks.left_over import other_network
from ammrg.networks.token_centres import cell_shift, token_centres

SCRATCH_MEAN, SCRATCH_STD = 0.5, 0.25
"""Normalisation of a backbone trained from scratch; grey films in [0, 1] have about these moments."""
_MOST_PREFIX_TOKENS = 16
"""No known backbone puts more class, distillation and register tokens before its patches."""


class VisualTokens(NamedTuple):
    """What an encoder sees in films."""

    tokens: Tensor
    """``[v n e]``: patch tokens only, row by row from the top left."""
    grid: tuple[int, int]
    """``(gh, gw)`` with gh * gw = n."""


class GreyStem(nn.Module):
    """An RGB stem convolution folded for grey films: one channel of work instead of three, the same output.

    A stem sees channel c as ``(x - mean_c) / std_c``; a grey film has the same x in all three. With the common scaling
    ``z = (x - 0.5) / 0.25`` that is ``(0.25 / std_c) z + (0.5 - mean_c) / std_c``, so the weights sum over c to one
    kernel for z and one for a plane of ones. The plane is convolved too (one film, not the batch), not summed into the
    bias: where zeros are padded its part is smaller at the border. Some backbones pad before their stem. No grey of 8
    bits is half of white, so a zero in what arrives is padding, and the plane is zero there too.
    """

    def __init__(self, convolution: nn.Conv2d, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.kernel_size, self.stride = convolution.kernel_size, convolution.stride  # read by stems that pad
        self.padding, self.dilation = convolution.padding, convolution.dilation
        kernel = convolution.weight.detach()
        means, stds = (kernel.new_tensor(list(values)).view(1, -1, 1, 1) for values in (mean, std))
        self.weight = nn.Parameter((kernel * (SCRATCH_STD / stds)).sum(1, keepdim=True))
        self.offset = nn.Parameter((kernel * ((SCRATCH_MEAN - means) / stds)).sum(1, keepdim=True))
        self.bias = convolution.bias

    def forward(self, films: Tensor) -> Tensor:
        """``[v 1 h w]`` scaled films -> ``[v o h' w']``."""
        plane = (films[:1] != 0).to(films.dtype)
        seen = F.conv2d(films, self.weight, self.bias, self.stride, self.padding, self.dilation)
        return seen + F.conv2d(plane, self.offset, None, self.stride, self.padding, self.dilation)


class VisualEncoder(nn.Module):
    """uint8 grey films -> tokens on a grid, scaled and normalised inside.

    Args:
        config: a transformers configuration as a dict with its ``model_type`` (``resnet``, ``swin``, ``vit``,
            ``dinov2``, ``convnextv2``, ...), for training from scratch. ``num_channels: 1`` spares the folding.
        pretrained: a local folder or a hub id instead (safetensors only). Its preprocessor_config.json gives mean and
            std, unless both are given here.
        revision: of the hub id: a branch, tag or commit.
        mean, std: per channel of the backbone's stem, for films in [0, 1].
        gradient_checkpointing: recompute activations in the backward pass, for less memory.

    Attributes:
        token_width: e. image_size: the side the backbone was made for, None where any side will do.
        mean, std: what the stem was made for, one value a channel, for films in [0, 1].
        cell_shift: by how many cells, right and down, the place on the film that a token is centred on lies from the
            middle of its cell of the grid, as measured (:mod:`ammrg.networks.token_centres`): 0 for patches; almost
            -1/2 for convolutions that pad on both sides, whose first token is centred on the film's first pixel.
            Where padding depends on a film's size so does this: of the size last given to :meth:`check_films`, at
            first ``image_size`` or 224.

    Raises:
        SettingsError: none or both of config and pretrained; an unknown model_type; weights that do not fill the
            backbone; a backbone without a grid of tokens, or one that cannot recompute activations; films of a size
            the backbone cannot take.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        pretrained: str | None = None,
        revision: str | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        gradient_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        if (config is None) == (pretrained is None):
            raise SettingsError(
                "encoder: give either 'config' (a dict with model_type, trained from scratch) or 'pretrained' "
                f"(a local folder or hub id), found config={config!r} and pretrained={pretrained!r}."
            )
        if pretrained is not None:
            self.backbone = _pretrained(pretrained, revision)
            if mean is None or std is None:
                mean, std = _normalisation(pretrained, revision)
        else:
            self.backbone = _scratch(config)
        if self.backbone.main_input_name != "pixel_values":
            raise self._no_grid(f"that it reads {self.backbone.main_input_name}, not films")
        settings = self.backbone.config
        channels = int(getattr(settings, "num_channels", 3))
        size = getattr(settings, "image_size", None)
        self.image_size: int | None = int(size[0] if isinstance(size, list | tuple) else size) if size else None
        self.mean = tuple(mean or (SCRATCH_MEAN,) * channels)
        self.std = tuple(std or (SCRATCH_STD,) * channels)
        if not len(self.mean) == len(self.std) == channels:
            raise SettingsError(
                f"encoder: the backbone's stem has {channels} channels, but mean has {len(self.mean)} values and std "
                f"{len(self.std)}; give one of each per channel."
            )
        if channels > 1:
            _fold_stem(self.backbone, self.mean, self.std)
            self._scaling = (SCRATCH_MEAN, SCRATCH_STD)  # the folded stem holds the rest
        else:
            self._scaling = (self.mean[0], self.std[0])
        _drop_unused(self.backbone)
        if gradient_checkpointing:
            if not self.backbone.supports_gradient_checkpointing:
                raise SettingsError(
                    f"encoder.gradient_checkpointing: {self._name} cannot recompute its activations; set it to false."
                )
            self.backbone.activation_checkpointing_enable()
        self.gradient_checkpointing = gradient_checkpointing
        side = self.image_size or 224
        try:
            seen = self._black_film(side)
        except (ValueError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise SettingsError(
                f"{self._name} cannot read a film of {side} x {side}, the size it is made for ({error}): settings of "
                "encoder.config do not fit each other"
            ) from error
        self.token_width = int(seen.tokens.shape[2])
        self.cell_shift = self._measured_shift(side)
        if _may_lie_channels_last(self.backbone):
            self.backbone.to(memory_format=torch.channels_last)  # convolutional: about a third faster on CPU and GPU

    @property
    def config(self) -> dict[str, Any]:
        """The primitives that rebuild this network (weights aside) without a hub: ``VisualEncoder(**config)``."""
        # Through JSON text, because to_dict() of some backbones holds keys that are not strings.
        settings = self.backbone.config.to_diff_dict()
        settings["model_type"] = self.backbone.config.model_type
        for field in ("architectures", "dtype", "transformers_version", "_name_or_path"):
            settings.pop(field, None)
        return {
            "config": settings,
            "mean": list(self.mean),
            "std": list(self.std),
            "gradient_checkpointing": self.gradient_checkpointing,
        }

    def check_films(self, side: int) -> tuple[int, int]:
        """The grid of films of ``side`` x ``side`` pixels, found with a black one; from now on :attr:`cell_shift` is
        theirs.

        Raises:
            SettingsError: the backbone does not take films of that size, or makes fewer than two tokens of one.
        """
        grid = self._black_film(side).grid
        self.cell_shift = self._measured_shift(side)
        return grid

    def forward(self, images: Tensor) -> VisualTokens:
        """uint8 ``[v 1 h w]`` -> tokens ``[v n e]`` in the dtype of the backbone, and their grid."""
        if images.ndim != 4 or images.shape[1] != 1 or images.dtype != torch.uint8:
            raise ValueError(
                f"the encoder takes uint8 [v 1 h w], found {images.dtype} {list(images.shape)}; films stay 8-bit grey "
                "until here, scaling and normalisation are the encoder's."
            )
        mean, std = self._scaling
        dtype = next(self.backbone.parameters()).dtype
        films = ((images.to(torch.float32) / 255.0 - mean) / std).to(dtype)
        return self._encode(films)

    def _black_film(self, side: int) -> VisualTokens:
        """What is seen in a black film, which proves that there is a grid of tokens."""
        parameter = next(self.backbone.parameters())
        with torch.no_grad(), evaluating(self.backbone):
            found = self._encode(torch.zeros(1, 1, side, side, dtype=parameter.dtype, device=parameter.device))
        if found.grid[0] * found.grid[1] < 2:
            raise self._no_grid(f"one token for a whole film of {side} x {side}")
        return found

    def _measured_shift(self, side: int) -> float:
        with evaluating(self.backbone):
            film = next(self.backbone.parameters()).new_zeros(1, 1, side, side)
            centres = token_centres(self.backbone, lambda run, films: self._encode(films, run), film)
        return cell_shift(centres, side, side)

    def _encode(self, films: Tensor, run: Callable[..., Any] | None = None) -> VisualTokens:
        """Scaled films through the backbone, or through what stands for it (``run``)."""
        height, width = int(films.shape[-2]), int(films.shape[-1])
        try:
            features = getattr((run or self.backbone)(pixel_values=films), "last_hidden_state", None)
        except (ValueError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError) or (height, width) == (self.image_size, self.image_size):
                raise
            raise SettingsError(
                f"data.image_size: films of {height} x {width} do not fit {self._name}, made for "
                f"{self.image_size or 'larger'} pixels a side ({error}). Set data.image_size to that, or give "
                "encoder.config another image_size."
            ) from error
        if features is None or features.ndim not in (3, 4):
            raise self._no_grid(f"last_hidden_state {None if features is None else list(features.shape)}")
        if features.ndim == 4:  # a feature map [v e gh gw]
            grid = (int(features.shape[2]), int(features.shape[3]))
            return VisualTokens(features.flatten(2).transpose(1, 2), grid)
        grid = self._grid(height, width, int(features.shape[1]))
        return VisualTokens(features[:, features.shape[1] - grid[0] * grid[1] :], grid)

    def _grid(self, height: int, width: int, count: int) -> tuple[int, int]:
        """The grid of a token sequence: the finest ``patch * 2^k`` whose patches are not more than its tokens.

        k = 0 for ViTs, whose few further tokens stand in front; one merging a stage for Swin.
        """
        patch = getattr(self.backbone.config, "patch_size", None)
        patch = patch[0] if isinstance(patch, list | tuple) else patch
        if patch:
            for merges in range(8):
                stride = int(patch) * 2**merges
                # ViTs cut off what does not fill a patch, Swins pad it: both roundings are tried.
                for rounded in (math.floor, math.ceil):
                    rows, columns = rounded(height / stride), rounded(width / stride)
                    if rows * columns > 0 and 0 <= count - rows * columns <= _MOST_PREFIX_TOKENS * (merges == 0):
                        return rows, columns
        raise self._no_grid(f"{count} tokens from a film of {height} x {width}")

    @property
    def _name(self) -> str:
        return f"encoder {type(self.backbone).__name__} (model_type {self.backbone.config.model_type})"

    def _no_grid(self, found: str) -> SettingsError:
        return SettingsError(
            f"{self._name} gives no grid of tokens: found {found}. Maps and regions need one: choose a backbone such "
            "as resnet, convnextv2, swin, vit or dinov2."
        )


def _may_lie_channels_last(backbone: nn.Module) -> bool:
    """True for convolutional backbones whose kernels run in that layout. torch 2.13's CPU backward of a strided 1x1
    convolution with fewer than 16 input channels writes beyond its memory there (seen as a crash with 8 and 12)."""
    modules = list(backbone.modules())
    narrow = (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.in_channels < 16
        for module in modules
    )
    return any(isinstance(module, nn.BatchNorm2d) for module in modules) and not any(narrow)


def _scratch(config: Mapping[str, Any] | None) -> Any:
    from transformers import AutoConfig, AutoModel

    fields = dict(config or {})
    model_type = fields.pop("model_type", None)
    if model_type is None:
        raise SettingsError("encoder.config: the field 'model_type' is missing; for example {'model_type': 'resnet'}.")
    try:
        known = AutoConfig.for_model(model_type)
        if unknown := [name for name in fields if not hasattr(known, name)]:
            near = ", ".join(get_close_matches(unknown[0], known.to_dict(), 3))
            raise SettingsError(
                f"encoder.config: model_type {model_type!r} has no setting {unknown[0]!r}"
                + (f"; the nearest: {near}" if near else "")
            )
        return AutoModel.from_config(AutoConfig.for_model(model_type, **fields), dtype=torch.float32)
    except (ValueError, KeyError) as error:
        raise SettingsError(f"encoder.config: model_type {model_type!r} cannot be built: {error}") from error


def _pretrained(name: str, revision: str | None) -> Any:
    from transformers import AutoModel

    try:
        backbone, report = AutoModel.from_pretrained(
            name,
            revision=revision,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise SettingsError(
            f"encoder.pretrained: {name!r} is neither a folder of a transformers vision model (config.json, "
            f"model.safetensors, preprocessor_config.json) nor a reachable hub id: {error}"
        ) from error
    # Pooling heads are dropped and mask tokens never used: they may be missing.
    missing = sorted(k for k in report["missing_keys"] if not k.startswith("pooler.") and not k.endswith("mask_token"))
    if missing:
        raise SettingsError(
            f"encoder.pretrained: the weights of {name!r} do not fill {type(backbone).__name__}: {len(missing)} are "
            f"missing ({', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}); they would stay random. Get the "
            "whole model."
        )
    wrong = other_network(backbone, report)
    if wrong:
        raise SettingsError(f"encoder.pretrained: {name!r}: {wrong}.")
    return backbone.train()  # it comes in eval mode: no dropout, no stochastic depth, no batch statistics


def _normalisation(name: str, revision: str | None) -> tuple[list[float] | None, list[float] | None]:
    """Mean and std of preprocessor_config.json, read as data: its classes differ between releases."""
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(name, revision=revision)
    except OSError as error:
        raise SettingsError(
            f"encoder.pretrained: {name!r} has no readable preprocessor_config.json, so how its films were normalised "
            f"is not known ({error}). Give encoder.mean and encoder.std, one value a channel, for films in [0, 1]."
        ) from error
    factor = float(settings.get("rescale_factor") or 1 / 255)
    if settings.get("do_rescale") is False or not math.isclose(factor, 1 / 255, rel_tol=1e-3):
        raise SettingsError(
            f"encoder.pretrained: the preprocessor_config.json of {name!r} does not scale films to [0, 1] (do_rescale "
            f"{settings.get('do_rescale')}, rescale_factor {factor}). Give encoder.mean and encoder.std for such films."
        )
    if settings.get("do_normalize") is False:
        return [0.0] * 3, [1.0] * 3
    return settings.get("image_mean"), settings.get("image_std")


def _fold_stem(backbone: Any, mean: Sequence[float], std: Sequence[float]) -> None:
    """Replaces the first convolution by its grey fold and tells the modules that check for channels."""
    name, stem = next(((n, m) for n, m in backbone.named_modules() if isinstance(m, nn.Conv2d)), ("", None))
    if stem is None or stem.groups != 1 or stem.padding_mode != "zeros":
        raise SettingsError(
            f"encoder: the first layer of {type(backbone).__name__} is no plain convolution, so grey films cannot be "
            "folded into its RGB stem; choose another backbone or set num_channels: 1 in encoder.config."
        )
    parent = backbone.get_submodule(name.rpartition(".")[0])
    setattr(parent, name.rpartition(".")[2], GreyStem(stem, mean, std))
    for module in backbone.modules():
        if getattr(module, "num_channels", None) == len(mean):
            module.num_channels = 1


def _drop_unused(backbone: Any) -> None:
    """No parameter may stay without a gradient: DDP would wait for it. Tokens only, so pooling heads go."""
    if any(True for _ in getattr(backbone, "pooler", nn.Identity()).parameters()):
        backbone.pooler = None
    kind = type(backbone).__name__.lower()
    pooled_norm = {"convnext": "layernorm.", "clip": "post_layernorm."}  # stand after pooling there
    prefixes = tuple(norm for family, norm in pooled_norm.items() if family in kind)
    for name, parameter in backbone.named_parameters():
        if name.endswith("mask_token") or (prefixes and name.startswith(prefixes)):
            parameter.requires_grad_(False)
