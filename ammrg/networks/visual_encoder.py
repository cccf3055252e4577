"""The image encoder: films -> tokens on a grid, by any vision backbone of transformers that keeps a grid.

Shape letters are those of :mod:`ammrg.types`; here ``n`` = tokens of a film, ``e`` = their width.
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
    drop_identities,
    drop_unused,
    freeze_blocks,
    may_use_channels_last,
    normalisation_of,
    pretrained_backbone,
)
from ammrg.networks.evaluating import evaluating
from ammrg.networks.grey_stem import SCRATCH_MEAN, SCRATCH_STD, fold_stem
from ammrg.networks.token_centres import cell_shift, token_centres

_MOST_PREFIX_TOKENS = 16
"""Most class, distillation and register tokens before the patches; no known backbone has more."""


class VisualTokens(NamedTuple):
    """The encoder's output for films."""

    tokens: Tensor
    """``[v n e]``: patch tokens only, row by row from the top left."""
    grid: tuple[int, int]
    """``(gh, gw)`` with gh * gw = n."""


class VisualEncoder(nn.Module):
    """Encodes grey films, uint8, as tokens on a grid; it scales and normalises the films itself.

    Args:
        config: a transformers configuration as a dict with its ``model_type`` (``resnet``, ``swin``, ``vit``,
            ``dinov2``, ``convnextv2``, ...), to train from scratch. With ``num_channels: 1`` no stem is folded.
        pretrained: instead, a local folder or a hub id (safetensors only). Its preprocessor_config.json gives mean and
            std, unless both are given here.
        revision: a branch, tag or commit of the hub id.
        mean: of each channel of the backbone's stem, for films in [0, 1].
        std: of each channel of the backbone's stem, for films in [0, 1].
        gradient_checkpointing: compute activations again in the backward pass, for less memory.
        frozen_blocks: the stem and this many first blocks (:func:`ammrg.networks.backbone.blocks_of`) are not trained.
        frozen_statistics: batch normalisation uses its running statistics in training too, and leaves them as they are.

    Attributes:
        token_width: e.
        image_size: side in pixels that the backbone was made for; None where it reads any size.
        mean: of each channel of the stem, for films in [0, 1].
        std: of each channel of the stem, for films in [0, 1].
        cell_shift: distance from the middle of a grid cell to the place on the film that its token is centred on, right
            and down, in cells (measured by :mod:`ammrg.networks.token_centres`). It is 0 for patches, and almost -1/2
            for convolutions that pad on both sides, because their first token is centred on the film's first pixel. It
            can depend on the film's size: this is the value for the size last given to :meth:`check_films`, at first
            ``image_size`` or 224.

    Raises:
        SettingsError: both or neither of ``config`` and ``pretrained`` are given; the model_type is unknown; weights
            are missing; the backbone has no grid of tokens, has fewer blocks than ``frozen_blocks``, cannot recompute
            activations, or cannot read films of its size.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        pretrained: str | None = None,
        revision: str | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        gradient_checkpointing: bool = False,
        frozen_blocks: int = 0,
        frozen_statistics: bool = False,
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
        drop_identities(self.backbone)
        if self.backbone.main_input_name != "pixel_values":
            raise self._no_grid(f"it reads {self.backbone.main_input_name}, not films")
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
            self._scaling = (SCRATCH_MEAN, SCRATCH_STD)  # the folded stem does the remaining normalisation
        else:
            self._scaling = (self.mean[0], self.std[0])
        drop_unused(self.backbone)
        self.frozen_blocks, self.frozen_statistics = frozen_blocks, frozen_statistics
        self._freeze()
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
                f"{self._name} cannot read a film of {side} x {side}, the size that it is made for ({error}): the "
                "settings in encoder.config do not fit each other"
            ) from error
        self.token_width = int(seen.tokens.shape[2])
        self.cell_shift = self._measured_shift(side)
        if may_use_channels_last(self.backbone):
            self.backbone.to(memory_format=torch.channels_last)  # convolutional: about a third faster on CPU and GPU

    def _freeze(self) -> None:
        """Take the gradients of the frozen blocks away, and list the layers that stay in eval mode."""
        frozen = freeze_blocks(self.backbone, self.frozen_blocks)
        if self.frozen_statistics:
            frozen += [part for part in self.backbone.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        self._never_in_training = tuple(frozen)  # in a tuple, torch does not count them as parts a second time
        self.train(self.training)

    def train(self, mode: bool = True) -> VisualEncoder:
        """Set training mode; frozen blocks and, with ``frozen_statistics``, batch norms stay in eval mode."""
        super().train(mode)
        for layer in self._never_in_training:
            layer.eval()
        return self

    @property
    def config(self) -> dict[str, Any]:
        """The settings that rebuild this network without weights and without a hub: ``VisualEncoder(**config)``."""
        # to_diff_dict gives JSON values; to_dict() of some backbones has keys that are not strings.
        settings = self.backbone.config.to_diff_dict()
        settings["model_type"] = self.backbone.config.model_type
        for field in ("architectures", "dtype", "transformers_version", "_name_or_path"):
            settings.pop(field, None)
        return {
            "config": settings,
            "mean": list(self.mean),
            "std": list(self.std),
            "gradient_checkpointing": self.gradient_checkpointing,
            # not named where they are off: such networks are those of earlier versions
            **({"frozen_blocks": self.frozen_blocks} if self.frozen_blocks else {}),
            **({"frozen_statistics": True} if self.frozen_statistics else {}),
        }

    def check_films(self, side: int) -> tuple[int, int]:
        """Return the grid of films of ``side`` x ``side`` pixels, and measure :attr:`cell_shift` for this size.

        Raises:
            SettingsError: the backbone cannot read films of this size, or makes fewer than two tokens from one.
        """
        grid = self._black_film(side).grid
        self.cell_shift = self._measured_shift(side)
        return grid

    def forward(self, images: Tensor) -> VisualTokens:
        """Encode films, uint8 ``[v 1 h w]``: tokens ``[v n e]`` in the dtype of the backbone, and their grid."""
        if images.ndim != 4 or images.shape[1] != 1 or images.dtype != torch.uint8:
            raise ValueError(
                f"the encoder reads uint8 [v 1 h w], found {images.dtype} {list(images.shape)}; give it 8-bit grey "
                "films: it scales and normalises them itself."
            )
        mean, std = self._scaling
        dtype = next(self.backbone.parameters()).dtype
        films = ((images.to(torch.float32) / 255.0 - mean) / std).to(dtype)
        return self._encode(films)

    def _black_film(self, side: int) -> VisualTokens:
        """Encode a black film, to check that the backbone gives a grid of tokens."""
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
        """Encode scaled films by the backbone, or by ``run`` in its place."""
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
        """Find the grid of a token sequence: the finest patches of side ``patch * 2^k`` that its tokens suffice for.

        For ViTs k = 0, and a few further tokens come first; Swin doubles the side at each merging stage.
        """
        patch = getattr(self.backbone.config, "patch_size", None)
        patch = patch[0] if isinstance(patch, list | tuple) else patch
        if patch:
            for merges in range(8):
                stride = int(patch) * 2**merges
                # ViTs cut an incomplete patch off, Swins pad it: both roundings are tried.
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
            f"{self._name} gives no grid of tokens: found {found}. Maps and regions need a grid: choose a backbone "
            "such as resnet, convnextv2, swin, vit or dinov2."
        )
