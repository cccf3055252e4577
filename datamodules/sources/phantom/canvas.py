"""Drawing tools: coordinate grids, soft edges, strokes and a bank of noise textures.

A film is drawn in *patient coordinates*: x runs from -0.5 (film left, the patient's right) to 0.5, y from 0 (neck)
to 1 (abdomen). A :class:`Pose` maps them to the film. Every shape is a float32 map ``[size size]`` over the film, so
that shapes overlap as shadows do: by adding attenuation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Map = NDArray[np.floating[Any]]
Points = NDArray[np.float64]

_SUPERSAMPLING = 2
_BANK = 8


@dataclass(frozen=True)
class Pose:
    """Position of the patient before the detector: film = centre + scale * rotation(patient - (0, 0.46))."""

    cx: float
    cy: float
    scale: float
    width: float
    """Stretch of x relative to y, for slim and broad patients."""
    angle: float
    """Radians, clockwise on the film."""

    def to_film(self, points: Points) -> Points:
        """Patient coordinates ``[n 2]`` to relative film coordinates ``[n 2]``."""
        x, y = points[..., 0] * self.width, points[..., 1] - 0.46
        cos, sin = math.cos(self.angle) * self.scale, math.sin(self.angle) * self.scale
        return np.stack([self.cx + cos * x - sin * y, self.cy + sin * x + cos * y], axis=-1)

    def grids(self, size: int) -> tuple[Map, Map]:
        """Patient x and y of every pixel centre, each ``[size size]``."""
        u, v = _unit_grids(size)
        cos, sin = math.cos(self.angle) / self.scale, math.sin(self.angle) / self.scale
        du, dv = u - np.float32(self.cx), v - np.float32(self.cy)
        x = (np.float32(cos) * du + np.float32(sin) * dv) / np.float32(self.width)
        return x, np.float32(cos) * dv - np.float32(sin) * du + np.float32(0.46)


@lru_cache(maxsize=4)
def _unit_grids(size: int) -> tuple[Map, Map]:
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    return axis[None, :].repeat(size, 0), axis[:, None].repeat(size, 1)


def edge(distance: Map, width: float) -> Map:
    """Smooth step from 0 (distance <= -width) to 1 (distance >= width)."""
    t: Map = np.clip(distance * np.float32(0.5 / width) + np.float32(0.5), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def dome(squared_radius: Map) -> Map:
    """Thickness of a ball: sqrt(1 - r^2) inside, 0 outside."""
    thickness: Map = np.sqrt(np.maximum(1.0 - squared_radius, 0.0))
    return thickness


def bump(squared_radius: Map) -> Map:
    """Soft hill of compact support: (1 - r^2)^2 inside, 0 outside."""
    inside: Map = np.maximum(1.0 - squared_radius, 0.0)
    return inside * inside


def curve(values: Sequence[tuple[float, float]], at: Map) -> Map:
    """Values of a piecewise linear curve through (position, value) pairs, from a fine table over [0, 1]."""
    positions, heights = zip(*values, strict=True)
    table: Map = np.interp(np.linspace(0.0, 1.0, 2048), positions, heights).astype(np.float32)
    return table[(np.clip(at, 0.0, 0.9999) * 2048).astype(np.int32)]


def strokes(pose: Pose, size: int, lines: Iterable[tuple[Points, float, float]]) -> Map:
    """Draw anti-aliased polylines in turn, later ones on top: a map ``[size size]`` in [0, 1].

    Args:
        pose: position of the patient.
        size: side of the film in pixels.
        lines: (points in patient coordinates ``[n 2]``, width in thousandths of the film, brightness 0..1) of each.
    """
    side = size * _SUPERSAMPLING
    image = Image.new("L", (side, side))
    pen = ImageDraw.Draw(image)
    lines = list(lines)
    ends = np.cumsum([len(points) for points, _, _ in lines])
    on_film = np.split(pose.to_film(np.concatenate([points for points, _, _ in lines])) * side, ends[:-1])
    for points, (_, width, brightness) in zip(on_film, lines, strict=True):
        pen.line(
            points.ravel().tolist(), fill=int(255 * brightness), width=max(1, round(width * side / 1000)), joint="curve"
        )
    return np.asarray(image.reduce(_SUPERSAMPLING), dtype=np.float32) / np.float32(255)


@lru_cache(maxsize=4)
def _noise_bank(size: int) -> tuple[Map, Map, Map]:
    """Fixed textures ``[bank size size]`` of unit variance: white, mottled (about 5 px) and cloudy (about 30 px)."""
    rng = np.random.default_rng(20260)
    white = rng.standard_normal((_BANK, size, size), dtype=np.float32)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]) * size / 256 * 256

    def smooth(cycles: float) -> Map:
        spectrum = np.fft.rfft2(rng.standard_normal((_BANK, size, size))) * np.exp(-((frequency / cycles) ** 2))
        field = np.fft.irfft2(spectrum, s=(size, size))
        return np.asarray(field / field.std(axis=(1, 2), keepdims=True), dtype=np.float32)

    return white, smooth(38.0), smooth(7.0)


def texture(kind: int, size: int, rng: np.random.Generator) -> Map:
    """A texture of the bank (0 white, 1 mottled, 2 cloudy), rolled and mirrored at random. ``[size size]``."""
    which, dy, dx, flip = rng.integers(_BANK), rng.integers(size), rng.integers(size), rng.integers(4)
    field: Map = np.roll(_noise_bank(size)[kind][which], (int(dy), int(dx)), axis=(0, 1))
    return field[:: -1 if flip & 1 else 1, :: -1 if flip & 2 else 1]
