"""The groups of stage 1's settings, with names and types. None = the network's default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EncoderSettings:
    """Settings of the image encoder (:class:`ammrg.networks.visual_encoder.VisualEncoder`): config or pretrained."""

    config: dict[str, Any] | None = None
    """A transformers configuration with its model_type (resnet, swin, vit, ...), to train from scratch. Its fields are
    those of transformers. Fields from several files and options are merged; another model_type starts again."""
    pretrained: str | None = None
    """A local folder or a hub id to start from instead (safetensors only)."""
    revision: str | None = None
    """A branch, tag or commit of the hub id."""
    mean: list[float] | None = None
    """Mean of each channel of the backbone's stem, for films in [0, 1]; None = that of the pretrained model."""
    std: list[float] | None = None
    """Standard deviation of each channel, as ``mean``; above 0."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, more time."""
    frozen_blocks: int = 0
    """The stem and this many first blocks of the backbone are never trained."""
    frozen_statistics: bool = False
    """Batch normalisation uses its running statistics in training too, and leaves them as they are."""


@dataclass(frozen=True)
class QFormerSettings:
    """Settings of the Q-Former (:class:`ammrg.networks.disease_qformer.DiseaseQFormer`)."""

    width: int = 768
    """Width of queries and projected tokens."""
    layers: int = 12
    """Number of layers, at least 1."""
    heads: int = 12
    """Number of attention heads; must divide ``width``."""
    cross_attention_every: int = 2
    """Every how many layers there is cross-attention, beginning with the first layer."""
    intermediate: int | None = None
    """Width of the feed-forward parts; None = 4 times ``width``."""
    dropout: float = 0.1
    """Share in [0, 1) of hidden states and attention weights that is dropped in training."""
    positions: bool = True
    """Add the place of each token on the film."""
    blip2: str | None = None
    """A local folder with a BLIP-2 Q-Former of the same sizes, whose weights this one starts from."""
    new_token_maps: bool = False
    """With ``blip2``: do not load its maps of the tokens."""


@dataclass(frozen=True)
class RegionSettings:
    """Settings of the form in which regions are picked. None = the form's default.

    The forms are ``windows`` (:func:`ammrg.memory.regions.pick_regions`) and ``patches``
    (:func:`ammrg.memory.patches.pick_patches`).
    """

    per_finding: int | None = None
    """Most regions of a finding on a film."""
    no_finding: bool | None = None
    """Take regions of "No Finding" too."""
    share: float | None = None
    """Windows: share of the map's maximum that a peak must reach, in (0, 1]."""
    window: int | None = None
    """Windows: side in cells, odd."""
    side: int | None = None
    """Patches: side of the enlarged map in pixels, a multiple of ``patch``."""
    patch: int | None = None
    """Patches: side of a patch in pixels."""
    least: float | None = None
    """Patches: mean of the map, scaled to [0, 1], that a patch must exceed, in (0, 1)."""
    predicted_only: bool | None = None
    """Patches: take a finding only where its probability is above its threshold."""
