"""Film -> grid of tokens, through any transformers vision backbone that keeps one.

Shape letters as in :mod:`ammrg.types`; here also ``n`` = tokens of a film, ``e`` = their width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ammrg.errors import SettingsError
from ammrg.networks.backbone import (
    backbone_from_scratch,
    drop_unused,
    may_lie_channels_last,
    normalisation_of,
    pretrained_backbone,
)
from ammrg.networks.evaluating import evaluating
from ammrg.networks.grey_stem import SCRATCH_MEAN, SCRATCH_STD, fold_stem
from ammrg.networks.token_centres import cell_shift, token_centres

_MOST_PREFIX_TOKENS = 16
"""No known backbone puts more class, distillation and register tokens before its patches."""


class VisualTokens(NamedTuple):
    """What an encoder sees in films."""

    tokens: Tensor
    """``[v n e]``: patch tokens only, row by row from the top left."""
    grid: tuple[int, int]
    """``(gh, gw)`` with gh * gw = n."""


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
            self.backbone = pretrained_backbone(pretrained, revision)
            if mean is None or std is None:
                mean, std = normalisation_of(pretrained, revision)
        else:
            self.backbone = backbone_from_scratch(config)
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
            fold_stem(self.backbone, self.mean, self.std)
            self._scaling = (SCRATCH_MEAN, SCRATCH_STD)  # the folded stem holds the rest
        else:
            self._scaling = (self.mean[0], self.std[0])
        drop_unused(self.backbone)
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
        if may_lie_channels_last(self.backbone):
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
