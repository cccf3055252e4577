"""Exposes anatomy and signs as one 8-bit film with boxes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ammrg.findings import FINDINGS
from datamodules.sources.phantom.anatomy import CENTRED, Anatomy, Positioning, frontal, lateral
from datamodules.sources.phantom.canvas import Map, texture
from datamodules.sources.phantom.signs import PLACING_ORDER, Drawn, PixelBox, Sign, place

_ANATOMIES = {"frontal": frontal, "lateral": lateral}


class Film(NamedTuple):
    """An exposed film, with the boxes of its signs."""

    pixels: NDArray[np.uint8]
    """``[size size]``, bright = dense."""
    boxes: tuple[tuple[str, PixelBox], ...]
    """Finding and box in pixels, one per drawn mark (a finding may have several)."""


def draw_anatomy(projection: str, seed: Sequence[int], size: int, positioning: Positioning = CENTRED) -> Anatomy:
    """The normal anatomy of one film, which depends on the seed but not on the signs."""
    return _ANATOMIES[projection](np.random.default_rng([*seed, 1]), size, positioning)


def draw_signs(anatomy: Anatomy, signs: Sequence[Sign], seed: Sequence[int]) -> list[tuple[Sign, list[Drawn]]]:
    """Place the signs in the order of :data:`PLACING_ORDER`, each beside the earlier ones."""
    taken: list[PixelBox] = []
    placed = []
    for sign in sorted(signs, key=lambda one: PLACING_ORDER.index(one.finding)):
        drawn = place(anatomy, sign, [*seed, 2, FINDINGS.index(sign.finding)], taken)
        taken += [one.box for one in drawn]
        placed.append((sign, drawn))
    return placed


def expose(attenuation: Map, seed: Sequence[int]) -> NDArray[np.uint8]:
    """Turn attenuation into an 8-bit film by film response, exposure and noise.

    The result is a pointwise function of attenuation, so that a local change stays local.
    """
    size = attenuation.shape[0]
    rng = np.random.default_rng([*seed, 3])
    slope, middle = rng.uniform(3.8, 4.7), rng.uniform(0.44, 0.54)
    black = 1.0 / (1.0 + np.exp(slope * middle))
    grey = 1.0 / (1.0 + np.exp(np.float32(-slope) * (attenuation - np.float32(middle))))
    grey = (grey - np.float32(black)) * np.float32(1.0 / (1.0 - black))
    noise = texture(0, size, rng) * np.float32(rng.uniform(0.006, 0.016))
    scatter = texture(2, size, rng) * np.float32(0.008)
    lit = 255.0 * (grey + (noise + scatter) * np.sqrt(np.maximum(grey, 0.0)) + np.float32(rng.uniform(0.0, 0.03)))
    pixels: NDArray[np.uint8] = np.clip(lit + 0.5, 0, 255).astype(np.uint8)
    return pixels


def draw_film(
    projection: str, signs: Sequence[Sign], seed: Sequence[int], size: int, positioning: Positioning = CENTRED
) -> Film:
    """Draw one film of a study."""
    anatomy = draw_anatomy(projection, seed, size, positioning)
    total = anatomy.attenuation
    boxes: list[tuple[str, PixelBox]] = []
    for sign, drawn in draw_signs(anatomy, signs, seed):
        for one in drawn:
            total = total + one.change
            boxes.append((sign.finding, one.box))
    return Film(expose(total, seed), tuple(boxes))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """The film as an 8-bit grey PNG."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format="PNG", compress_level=1)
    return out.getvalue()
