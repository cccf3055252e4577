"""The settings of stage 1 that come in groups, by name and type. None = as the network does without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EncoderSettings:
    """Of :class:`ammrg.networks.visual_encoder.VisualEncoder`: either ``config`` or ``pretrained``."""

    config: dict[str, Any] | None = None
    """A transformers configuration with its model_type (resnet, swin, vit, ...), to train from scratch. Its fields are
    transformers' own; those of several files and options join, and another model_type begins anew."""
    pretrained: str | None = None
    """A local folder or a hub id to start from instead (safetensors only)."""
    revision: str | None = None
    """Of the hub id: a branch, tag or commit."""
    mean: list[float] | None = None
    """Per channel of the backbone's stem, for films in [0, 1]; None takes what stands beside the weights."""
    std: list[float] | None = None
    """As ``mean``, above 0."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, more time."""


@dataclass(frozen=True)
class QFormerSettings:
    """Of :class:`ammrg.networks.disease_qformer.DiseaseQFormer`."""

    width: int = 768
    """Of queries and projected tokens, numbers a token."""
    layers: int = 12
    """How many, at least 1."""
    heads: int = 12
    """Of attention; must divide ``width``."""
    cross_attention_every: int = 2
    """Cross-attention in every how many-th layer, beginning with the first."""
    intermediate: int | None = None
    """Width of the feed-forward parts; None = 4 times ``width``."""
    dropout: float = 0.1
    """Share in [0, 1) of hidden states and attention weights."""
    positions: bool = True
    """Add where each token lies on the film."""
    blip2: str | None = None
    """A local folder whose BLIP-2 Q-Former this one starts from, of the sizes named here."""
    new_token_maps: bool = False
    """With ``blip2``: leave its maps of the tokens out."""


@dataclass(frozen=True)
class RegionSettings:
    """Of the form in which regions are picked: ``windows`` (:func:`ammrg.memory.regions.pick_regions`) or ``patches``
    (:func:`ammrg.memory.patches.pick_patches`). None = the form's own."""

    per_finding: int | None = None
    """At most so many regions of a finding on a film."""
    no_finding: bool | None = None
    """Take regions of "No Finding" too."""
    share: float | None = None
    """Windows: of the map's maximum that a peak must reach, in (0, 1]."""
    window: int | None = None
    """Windows: cells to a side, odd."""
    side: int | None = None
    """Patches: pixels to a side at which a map is drawn, a multiple of ``patch``."""
    patch: int | None = None
    """Patches: pixels to a side."""
    least: float | None = None
    """Patches: mean of the map that a patch must exceed, in (0, 1)."""
    predicted_only: bool | None = None
    """Patches: take a finding only where its probability is above its threshold."""
