"""Vision backbones of transformers: built from a configuration, or loaded with pretrained weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import torch
from torch import nn

from ammrg.errors import SettingsError
from ammrg.networks.left_over import other_network
from ammrg.networks.quiet_loading import quiet_loading

_Part = TypeVar("_Part")


def may_use_channels_last(backbone: nn.Module) -> bool:
    """Tell whether a backbone may use the memory format channels_last: convolutional ones, except those that crash.

    In this format, torch 2.13's CPU backward pass of a strided 1x1 convolution with fewer than 16 input channels writes
    beyond its memory (seen as a crash with 8 and 12 channels; no report of exactly this was found, a similar one is
    https://github.com/pytorch/pytorch/issues/136348).
    """
    modules = list(backbone.modules())
    narrow = (
        isinstance(module, nn.Conv2d)
        and module.kernel_size == (1, 1)
        and max(module.stride) > 1
        and module.in_channels < 16
        for module in modules
    )
    return any(isinstance(module, nn.BatchNorm2d) for module in modules) and not any(narrow)


def backbone_from_scratch(config: Mapping[str, Any] | None) -> Any:
    """Build a backbone with random weights in float32 from a configuration with its ``model_type``.

    Raises:
        SettingsError: ``model_type`` is missing or unknown, or settings are unknown or do not fit each other.
    """
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


def pretrained_backbone(name: str, revision: str | None) -> Any:
    """Load a backbone with its weights from a folder or hub id, in float32 and training mode.

    Raises:
        SettingsError: it cannot be read, or the weights do not fit the backbone.
    """
    from transformers import AutoModel

    try:
        with quiet_loading(name):  # the head of another task is no fault; what is one, is raised below
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
    # Pooling heads are dropped later and mask tokens are never used, so both may be missing.
    missing = sorted(k for k in report["missing_keys"] if not k.startswith("pooler.") and not k.endswith("mask_token"))
    if missing:
        raise SettingsError(
            f"encoder.pretrained: {len(missing)} weights of {type(backbone).__name__} are missing in {name!r} "
            f"({', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}) and would stay random. Get the complete "
            "model."
        )
    wrong = other_network(backbone, report)
    if wrong:
        raise SettingsError(f"encoder.pretrained: {name!r}: {wrong}.")
    return backbone.train()  # from_pretrained returns eval mode: no dropout, stochastic depth or batch statistics


def normalisation_of(name: str, revision: str | None) -> tuple[list[float] | None, list[float] | None]:
    """Read mean and std from preprocessor_config.json.

    The file is read as data, because transformers' classes for it differ between releases.

    Returns:
        (mean, std), one value per channel, for films in [0, 1]; None where the file has no value.

    Raises:
        SettingsError: the file cannot be read, or scales films differently.
    """
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        settings, _ = ImageProcessingMixin.get_image_processor_dict(name, revision=revision)
    except OSError as error:
        raise SettingsError(
            f"encoder.pretrained: {name!r} has no readable preprocessor_config.json, so the normalisation of its films "
            f"is unknown ({error}). Give encoder.mean and encoder.std, one value per channel, for films in [0, 1]."
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


def drop_identities(backbone: Any) -> None:
    """Leave the squeeze-and-excitation of an EfficientNet out whose ratio is 0.

    transformers' EfficientNet always has it; EfficientNet-Lite has none, and its weights here are those of an identity.
    """
    if getattr(backbone.config, "squeeze_expansion_ratio", None) == 0:
        for block in backbone.encoder.blocks:
            block.squeeze_excite = nn.Identity()


def whole_parts(backbone: Any) -> list[nn.Module]:
    """List the parts of a backbone that transformers never splits over devices, from the film to the tokens."""
    names = backbone._no_split_modules or ()
    return [part for part in backbone.modules() if type(part).__name__ in names]


def blocks_of(backbone: Any) -> list[nn.Module]:
    """List the blocks of a backbone, from the film to the tokens: its whole parts without the embedding of patches."""
    return [part for part in whole_parts(backbone) if not type(part).__name__.endswith("Embeddings")]


def freeze_blocks(backbone: Any, count: int) -> list[nn.Module]:
    """Take the gradients of the stem and of the first blocks away; with 0, of nothing.

    Returns:
        Their layers (modules without parts of their own), which belong in eval mode.

    Raises:
        SettingsError: the backbone has fewer blocks.
    """
    blocks = blocks_of(backbone)
    if not 0 <= count <= len(blocks):
        raise SettingsError(
            f"encoder.frozen_blocks: found {count}, but {type(backbone).__name__} has {len(blocks)} blocks; give 0 to "
            f"{len(blocks)}."
        )
    if count == 0:
        return []
    for parameter in _until(backbone.parameters(), list(blocks[count - 1].parameters())[-1]):
        parameter.requires_grad_(False)
    return _until(_layers(backbone), _layers(blocks[count - 1])[-1])


def stem_of(backbone: Any) -> nn.ParameterList:
    """List the parameters before the first block."""
    parameters = list(backbone.parameters())
    return nn.ParameterList(_until(parameters, next(blocks_of(backbone)[0].parameters()))[:-1])


def _layers(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if not any(True for _ in part.children())]


def _until(parts: Iterable[_Part], last: _Part) -> list[_Part]:
    """List the parts up to and with the last."""
    found = []
    for part in parts:
        found.append(part)
        if part is last:
            break
    return found


def drop_unused(backbone: Any) -> None:
    """Remove or freeze the parameters of a backbone that do not act on its tokens.

    DDP would wait for their gradients. Pooling heads are removed; mask tokens and norms after pooling are frozen.
    """
    if any(True for _ in getattr(backbone, "pooler", nn.Identity()).parameters()):
        backbone.pooler = None
    kind = type(backbone).__name__.lower()
    pooled_norm = {"convnext": "layernorm.", "clip": "post_layernorm."}  # norms that follow pooling
    prefixes = tuple(norm for family, norm in pooled_norm.items() if family in kind)
    for name, parameter in backbone.named_parameters():
        if name.endswith("mask_token") or (prefixes and name.startswith(prefixes)):
            parameter.requires_grad_(False)
