"""A vision backbone of transformers: from scratch by its configuration, or with pretrained weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn

from ammrg.errors import SettingsError
from ammrg.networks.left_over import other_network


def may_lie_channels_last(backbone: nn.Module) -> bool:
    """True for convolutional backbones whose kernels run in that layout. torch 2.13's CPU backward of a strided 1x1
    convolution with fewer than 16 input channels writes beyond its memory there (seen as a crash with 8 and 12;
    no report of just this was found, a near one is https://github.com/pytorch/pytorch/issues/136348)."""
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
    """A backbone with random weights in float32, by a configuration with its ``model_type``.

    Raises:
        SettingsError: no or an unknown ``model_type``, an unknown setting, or settings that do not fit each other.
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
    """The backbone of a folder or hub id with its weights, in float32 and training mode.

    Raises:
        SettingsError: nothing readable there, or weights that do not fill the backbone.
    """
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


def normalisation_of(name: str, revision: str | None) -> tuple[list[float] | None, list[float] | None]:
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


def drop_unused(backbone: Any) -> None:
    """No parameter may stay without a gradient: DDP would wait for it. Tokens only, so pooling heads go."""
    if any(True for _ in getattr(backbone, "pooler", nn.Identity()).parameters()):
        backbone.pooler = None
    kind = type(backbone).__name__.lower()
    pooled_norm = {"convnext": "layernorm.", "clip": "post_layernorm."}  # stand after pooling there
    prefixes = tuple(norm for family, norm in pooled_norm.items() if family in kind)
    for name, parameter in backbone.named_parameters():
        if name.endswith("mask_token") or (prefixes and name.startswith(prefixes)):
            parameter.requires_grad_(False)
