"""The signs of the 13 abnormal findings: small functions from anatomy to a change of attenuation within boxes.

A sign function takes the anatomy, the sign to draw (:class:`Sign`) and a random generator. It returns one or more raw
maps of added (if negative, removed) attenuation. :func:`place` trims each map: values below a tenth of its peak become
zero and all others shrink by as much, so that the box contains every changed pixel.

The file is long because it holds all 13 sign functions, which share their helpers and are read side by side: each sign
must look different from all others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.sources.phantom.anatomy import (
    HEART_TILT,
    RIB_HALF,
    RIB_PITCH,
    Anatomy,
    Lung,
    rib_arch,
    tilted,
)
from datamodules.sources.phantom.canvas import Map, Points, bump, dome, edge, strokes, texture

PixelBox = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, ends excluded."""


class Sign(NamedTuple):
    """The sign of one finding, as the report describes it."""

    finding: str
    uncertain: bool
    side: str
    """``right`` or ``left`` (of the patient), where the larger mark is; empty on the midline."""
    zone: str
    """``upper``, ``mid`` or ``lower``; empty where the sign has but one height."""
    size: float
    """0 small .. 1 large."""
    variant: str = ""
    """The kind of device, or the broken bone."""
    other_size: float | None = None
    """Size of the mark on the other side; None if there is none."""

    @property
    def strength(self) -> float:
        """Factor of the sign's attenuation; an uncertain sign is fainter than any positive one."""
        return 0.33 if self.uncertain else 1.0 + 0.15 * self.size

    @property
    def other_side(self) -> str:
        """The side opposite to ``side``."""
        return "left" if self.side == "right" else "right"

    @property
    def sides(self) -> frozenset[str]:
        """All sides it is on; none on the midline."""
        return frozenset({self.side, self.other_side if self.other_size is not None else self.side}) - {""}


class Drawn(NamedTuple):
    """One sign on one film: the added attenuation ``[size size]`` and its box; zero outside the box."""

    change: Map
    box: PixelBox


def _lung(a: Anatomy, sign: Sign, rng: np.random.Generator) -> Lung:
    """The lung field of the sign's side; on a lateral film, which shows both sides, the front or back at random."""
    if a.projection == "frontal":
        return a.lungs[sign.side]
    return a.lungs["posterior" if rng.random() < 0.65 else "anterior"]


def _marks(a: Anatomy, sign: Sign) -> list[Sign]:
    """The sign on each of its sides; once on a lateral film, where the sides overlap."""
    if a.projection == "lateral" or sign.other_size is None:
        return [sign]
    return [sign, sign._replace(side=sign.other_side, size=sign.other_size)]


def _spot(a: Anatomy, sign: Sign, rng: np.random.Generator, inset: float) -> tuple[Lung, float, float]:
    """A point of aerated lung in the sign's zone, at least about ``inset`` from the chest wall."""
    lung = _lung(a, sign, rng)
    low, high = a.positioning.lung[sign.zone]
    best, spot = -1.0, (0.17 * lung.outward, 0.5)
    for _ in range(20):
        y = lung.top + (lung.base - lung.top) * rng.uniform(low, high)
        reach = lung.wall_at(y)
        inner = 0.075 if a.projection == "frontal" else 0.02
        x = lung.outward * rng.uniform(inner, max(reach - inset, inner + 0.01))
        aerated = float(a.lung[a.at(x, y)])
        if aerated > best:
            best, spot = aerated, (x, y)
        if best > 0.9:
            break
    return lung, *spot


def _turned(a: Anatomy, x: float, y: float, angle: float) -> tuple[Map, Map]:
    """Coordinates of every pixel along and across a direction, measured from a point."""
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    dx, dy = a.x - np.float32(x), a.y - np.float32(y)
    return cos * dx + sin * dy, cos * dy - sin * dx


def lung_opacity(a: Anatomy, sign: Sign, rng: np.random.Generator) -> list[Map]:
    """A hazy, ill-defined ground-glass patch: ribs and vessels shine through a fine granular veil."""
    _, x, y = _spot(a, sign, rng, 0.07)
    radius = 0.07 + 0.035 * sign.size
    r2 = tilted(a.x - x, a.y - y, radius, radius * rng.uniform(0.75, 1.25), rng.uniform(0, 3))
    r2 = r2 * (1.0 + 0.22 * texture(2, a.size, rng))
    grain = 1.0 + 0.22 * texture(1, a.size, rng)
    return [np.float32(0.30 * sign.strength) * np.sqrt(bump(r2)) * grain * a.lung]


def lung_lesion(a: Anatomy, sign: Sign, rng: np.random.Generator) -> list[Map]:
    """A round nodule or mass, densest in its middle, with a sharp, slightly lobulated edge."""
    radius = (0.021 if sign.uncertain else 0.028) + 0.020 * sign.size
    _, x, y = _spot(a, sign, rng, radius + 0.02)
    along, across = a.x - np.float32(x), a.y - np.float32(y)
    lobes = 1.0 + 0.07 * np.cos(3.0 * np.arctan2(across, along) + np.float32(rng.uniform(0, 6)))
    r2 = (np.square(along) + np.square(across)) / np.square(radius * lobes)
    return [np.float32(0.55 * sign.strength) * edge(1.0 - r2, 0.16) * (0.55 + 0.45 * dome(r2)) * (0.1 + 0.9 * a.lung)]


def edema(a: Anatomy, sign: Sign, rng: np.random.Generator) -> list[Map]:
    """Septal lines: a fine net with short horizontal Kerley B strokes."""
    changes: list[Map] = []
    for mark, (_, x, y) in [(mark, _spot(a, mark, rng, 0.05)) for mark in _marks(a, sign)]:
        half_w, half_h = 0.055 + 0.02 * mark.size, 0.085 + 0.025 * mark.size
        lines: list[tuple[Points, float, float]] = []
        starts = rng.uniform(-1, 1, (34, 2))
        angles = np.where(np.arange(34) < 17, rng.normal(0, 0.18, 34), rng.uniform(0.6, 2.5, 34))
        lengths = rng.uniform(0.018, 0.036, 34)
        for (sx, sy), angle, length in zip(starts, angles, lengths, strict=True):
            centre = np.array([x + sx * half_w, y + sy * half_h])
            step = 0.5 * length * np.array([math.cos(angle), math.sin(angle)])
            lines.append((np.stack([centre - step, centre + step]), 4.6, 1.0))
        net = strokes(a.pose, a.size, lines)
        window = edge(1.15 - tilted(a.x - x, a.y - y, half_w, half_h, 0.0), 0.25)
        changes.append(np.float32(0.30 * mark.strength) * (net + 0.15) * window * a.lung)
    return changes


def consolidation(a: Anatomy, sign: Sign, rng: np.random.Generator) -> list[Map]:
    """A dense patch, cut sharply by a fissure on one edge, with dark branching air bronchograms."""
    _, x, y = _spot(a, sign, rng, 0.075)
    half_w, half_h = 0.075 + 0.03 * sign.size, 0.055 + 0.03 * sign.size
    tilt = rng.uniform(-0.35, 0.35)
    along, across = _turned(a, x, y, tilt)
    r2 = (np.square(along / np.float32(half_w)) + np.square(across / np.float32(half_h))) * (
        1 + 0.15 * texture(2, a.size, rng)
    )
    up = 1.0 if rng.random() < 0.5 else -1.0
    patch = edge(1.0 - r2, 0.22) * edge(up * across + np.float32(half_h * 0.35), 0.004)
    axis = np.array([math.cos(tilt), math.sin(tilt)])
    normal = np.array([-axis[1], axis[0]])
    root = np.array([x, y]) - axis * half_w * 0.75 * (1 if x > 0 else -1) + normal * up * half_h * 0.2
    lines: list[tuple[Points, float, float]] = []
    for turn, length in ((-0.35, 0.9), (0.1, 1.35), (0.5, 0.9)):
        heading = tilt + turn + rng.normal(0, 0.1) + (0 if x > 0 else math.pi)
        tip = root + half_w * length * np.array([math.cos(heading), math.sin(heading)])
        middle = 0.5 * (root + tip) + normal * rng.normal(0, 0.004)
        lines.append((np.stack([root, middle, tip]), 7.5, 1.0))
        for branch in (-0.6, 0.6):
            end = middle + half_w * 0.5 * np.array([math.cos(heading + branch), math.sin(heading + branch)])
            lines.append((np.stack([middle, end]), 5.0, 0.8))
    bronchi = strokes(a.pose, a.size, lines)
    cloud = 1.0 + 0.10 * texture(2, a.size, rng) + 0.05 * texture(1, a.size, rng)
    bronchi = bronchi * edge(0.65 - r2, 0.35)
    return [np.float32(0.42 * sign.strength) * patch * cloud * (1.0 - 0.50 * bronchi) * a.lung]


def pneumonia(a: Anatomy, sign: Sign, rng: np.random.Generator) -> list[Map]:
    """Bronchopneumonia: a cluster of many small ill-defined blobs."""
    _, x, y = _spot(a, sign, rng, 0.07)
    spread = 0.055 + 0.025 * sign.size
    count = 11 + int(9 * sign.size)
    angles = np.arange(count) * 2.39996 + rng.uniform(0, 6)
    angles += rng.normal(0, 0.5, count)
    radii = spread * np.sqrt((np.arange(count) + 0.6) / count) * rng.uniform(0.7, 1.3, count)
    sizes = rng.uniform(0.010, 0.021, count).tolist()
    weights = rng.uniform(0.65, 1.0, count).tolist()
    change = 0.22 * bump(0.55 * tilted(a.x - x, a.y - y, spread, spread, 0.0))
    for angle, radius, size, weight in zip(angles.tolist(), radii.tolist(), sizes, weights, strict=True):
        dx, dy = x + radius * math.cos(angle), y + radius * math.sin(angle)
        change = np.maximum(change, np.float32(weight) * bump(tilted(a.x - dx, a.y - dy, size * 1.4, size * 1.4, 0.0)))
    return [np.float32(0.40 * sign.strength) * change * a.lung]


def atelectasis(a: Anatomy, sign: Sign, rng: np.random.Generator) -> list[Map]:
    """Plate-like bands: two or three nearly parallel, nearly horizontal strips with tapering ends."""
    return [_bands(a, mark, rng) for mark in _marks(a, sign)]


def _bands(a: Anatomy, sign: Sign, rng: np.random.Generator) -> Map:
    _, x, y = _spot(a, sign, rng, 0.08)
    angle = rng.uniform(-0.45, 0.45)
    along, across = _turned(a, x, y, angle)
    change = np.zeros_like(a.x)
    length = 0.065 + 0.03 * sign.size
    for k in range(2 if sign.size < 0.6 else 3):
        offset, shift = (k - 0.5) * rng.uniform(0.026, 0.034), rng.uniform(-0.02, 0.02)
        half = rng.uniform(0.0070, 0.0095)
        bend = 1.2 * rng.uniform(-1, 1) * np.square(along) + rng.normal(0, 0.08) * along
        ends = 1.0 - np.square((along - shift) / np.float32(length))
        change = np.maximum(
            change, edge(1.0 - np.abs(across - offset - bend) / np.float32(half), 0.5) * edge(ends - 0.1, 0.15)
        )
    return np.float32(0.38 * sign.strength) * change * (0.15 + 0.85 * a.lung)


def pneumothorax(a: Anatomy, sign: Sign, rng: np.random.Generator) -> list[Map]:
    """Air in the pleural space: a dark crescent without vessels, bounded by a thin white pleural line."""
    lung = _lung(a, sign, rng)
    span = lung.base - lung.top
    middle, half = a.positioning.air[sign.zone]
    centre = lung.top + span * (middle + 0.06 * rng.uniform(-1, 1))
    height = span * (half + 0.08 * sign.size)
    depth = 0.050 + 0.040 * sign.size
    vertical = 1.0 - np.square((a.y - centre) / np.float32(height))
    gap = np.float32(depth) * np.sqrt(np.maximum(vertical, 0.0))
    inward = lung.outer - lung.s
    space = edge(gap - inward, 0.004) * edge(vertical - 0.05, 0.06) * lung.mask
    line = edge(1.0 - np.abs(inward - gap) / np.float32(0.0052), 0.5) * edge(vertical - 0.05, 0.05) * lung.mask
    strength = np.float32(sign.strength)
    return [strength * (0.42 * line - space * (0.085 + a.vessels) * (1 - line))]


def pleural_effusion(a: Anatomy, sign: Sign, rng: np.random.Generator) -> list[Map]:
    """Homogeneous fluid in a costophrenic angle under a concave meniscus that climbs the chest wall."""
    return [_fluid(a, mark) for mark in _marks(a, sign)]


def _fluid(a: Anatomy, sign: Sign) -> Map:
    lung = a.lungs[sign.side] if a.projection == "frontal" else a.lungs["posterior"]
    height = (0.06 if sign.uncertain else 0.11) + 0.12 * sign.size
    wall = lung.wall_at(lung.base - 0.03)
    inner = wall - 0.14 - 0.08 * sign.size
    rise = np.clip((lung.s - np.float32(inner)) / np.float32(wall - inner), 0.0, 1.1)
    surface = np.float32(lung.base - 0.015) - np.float32(height) * (
        0.40 + 0.30 * rise + 0.45 * np.square(np.square(rise))
    )
    fluid = edge(a.y - surface, 0.010) * edge(lung.s - np.float32(inner), 0.02) * lung.mask
    return np.float32(0.46 * (0.6 if sign.uncertain else 1.0) * min(sign.strength * 1.2, 1.1)) * fluid


def pleural_other(a: Anatomy, sign: Sign, rng: np.random.Generator) -> list[Map]:
    """Lumpy pleural thickening along the chest wall with bright, irregular calcified plaques."""
    lung = _lung(a, sign, rng)
    span = lung.base - lung.top
    centre = lung.top + span * (a.positioning.pleura[sign.zone] + 0.04 * rng.uniform(-1, 1))
    length = span * (0.15 + 0.07 * sign.size)
    inward = lung.outer - lung.s
    along = (a.y - np.float32(centre)) / np.float32(length)
    lumps = 0.68 + 0.32 * np.cos(along * np.float32(rng.uniform(6.5, 8.5)) + np.float32(rng.uniform(0, 6)))
    depth = np.float32(0.034 + 0.012 * sign.size) * lumps * np.sqrt(np.maximum(1 - along * along, 0))
    pad = edge(depth - inward, 0.005) * edge(inward + 0.004, 0.004) * edge(1 - np.abs(along), 0.08)
    chalk = edge(texture(1, a.size, rng) - 0.3, 0.9)
    return [np.float32(sign.strength) * pad * (0.27 + 0.30 * chalk)]


def _break(
    a: Anatomy, x: float, y: float, angle: float, half: float, bone: Map, sign: Sign, rng: np.random.Generator
) -> Map:
    """One broken bone: its shaft redrawn as two displaced ends, with a gap and callus between."""
    along, across = _turned(a, x, y, angle)
    reach = 0.050
    window = edge(1.0 - (np.square(along) + np.square(across)) / np.float32(reach * reach), 0.25)
    step = np.float32(rng.uniform(0.75, 1.0) * half) * np.sign(along) * np.float32(1 if rng.random() < 0.5 else -1)
    off = np.abs(across - step * np.maximum(1 - np.abs(along) / np.float32(reach), 0)) / np.float32(half)
    shaft = edge(1.0 - off, 0.22) * (0.6 + 0.4 * off * off)
    gap = edge(1.0 - np.abs(along + 0.35 * across) / np.float32(0.0072), 0.4)
    ends = bump(np.square(along / np.float32(0.030)) + np.square(across / np.float32(half * 2.4)))
    drawn = shaft * (0.18 + 0.28 * np.sqrt(ends)) * (1 - gap) - 0.10 * gap * edge(1.7 - np.abs(across) / half, 0.3)
    callus = 0.20 * ends * (1 - gap)
    return np.float32(sign.strength) * window * (drawn + callus - bone)


def fracture(a: Anatomy, sign: Sign, rng: np.random.Generator) -> list[Map]:
    """Displaced fractures of one or two ribs, or of a clavicle: step, gap and callus."""
    if sign.variant == "clavicle" and a.projection == "frontal":
        s = rng.uniform(0.14, 0.24)
        y = a.marks["clavicle"] - 0.16 * (s - 0.03) + 0.028 * math.sin((s - 0.03) * 17.0)
        outward = a.lungs[sign.side].outward
        slope = (-0.16 + 0.028 * 17.0 * math.cos((s - 0.03) * 17.0)) * outward
        return [_break(a, s * outward, y, math.atan(slope), 0.0125, a.clavicles, sign, rng)]
    lung = _lung(a, sign, rng)
    zone = sign.zone or "upper"  # a lateral film does not show the clavicles: an upper rib stands for one
    first = int(rng.integers(*a.positioning.ribs[zone]))
    s = rng.uniform(*a.positioning.breaks[zone])
    changes: list[Map] = []
    for k in range(2 if sign.size > 0.3 else 1):
        here = s + (0.012 if k else 0.0)
        if a.projection == "frontal":
            y = lung.ribs_top + (first + k) * RIB_PITCH + float(rib_arch(here))
            slope, half = 3.0 * (here - 0.10) * lung.outward, RIB_HALF * RIB_PITCH
        else:
            x = here * lung.outward * 0.7
            y = a.marks["top"] + (first + k) * 0.074 - 0.30 * x + 0.9 * x * x
            slope, half = -0.30 + 1.8 * x, 0.16 * 0.074
            here *= 0.7
        changes.append(_break(a, here * lung.outward, y, math.atan(slope), half, a.ribs, sign, rng))
    return changes


def support_devices(a: Anatomy, sign: Sign, rng: np.random.Generator) -> list[Map]:
    """Metal and plastic, by the sign's variant: see :data:`DEVICES` and :data:`SIDED_DEVICES`."""
    metal = np.float32(0.95 * sign.strength if not sign.uncertain else 0.24)
    front = a.projection == "frontal"
    outward = (a.lungs[sign.side].outward) if front else -1.0
    x = outward * (rng.uniform(0.17, 0.25) if front else rng.uniform(0.10, 0.16))
    y = a.marks["top"] + rng.uniform(0.10, 0.20)
    if sign.variant == "pacemaker":
        angle = rng.uniform(-0.5, 0.5)
        along, across = _turned(a, x, y, angle)
        half = rng.uniform(0.034, 0.042)
        box = np.maximum(np.abs(along) / np.float32(half), np.abs(across) / np.float32(half * 0.8))
        round_ = np.sqrt(np.square(along / np.float32(half)) + np.square(across / np.float32(half * 0.8))) * 0.80
        can = edge(1.0 - np.maximum(box, round_), 0.07) * (
            0.62 + 0.38 * edge(0.25 - np.abs(across / np.float32(half) - 0.55), 0.05)
        )
        lead = _lead(a, x, y + half * 0.3, -outward, rng)
        return [metal * np.maximum(can, 0.75 * lead)]
    if sign.variant == "port":
        r2 = tilted(a.x - x, a.y - y, 0.024, 0.024, 0.0)
        ring = edge(1.0 - r2, 0.12) * (0.45 + 0.55 * edge(np.abs(r2 - 0.62) - 0.15, 0.08))
        return [metal * np.maximum(ring, 0.7 * _lead(a, x, y - 0.02, -outward, rng))]
    if sign.variant == "tube":
        tip = a.marks["top"] + rng.uniform(0.12, 0.20)
        drift = rng.uniform(-0.012, 0.012)
        t = np.linspace(0, 1, 8)[:, None]
        path = np.concatenate([drift + 0.01 * np.sin(3 * t), tip - 0.17 * (1 - t)], axis=1)
        wall = strokes(a.pose, a.size, [(path, 18.0, 0.5), (path, 6.0, 1.0)])
        return [np.float32(1.15) * metal * wall]
    if sign.variant == "drain":
        return [metal * _drain(a, sign, rng)]
    if sign.variant == "line":
        return [np.float32(0.9) * metal * _venous_line(a, outward, rng)]
    lines: list[tuple[Points, float, float]] = []
    count = 3 + int(2.5 * sign.size)
    start = a.marks["top"] + rng.uniform(0.12, 0.22)
    turn = np.linspace(0, 2 * math.pi, 14)
    for k in range(count):
        cx = rng.normal(0, 0.003) if front else -(a.marks["half"] + 0.005)
        loop = np.stack(
            [cx + 0.017 * np.cos(turn) * (1 if front else 0.5), start + 0.052 * k + 0.013 * np.sin(turn + 0.4)], axis=1
        )
        lines.append((loop, 5.5, 1.0))
        lines.append((np.array([[cx, start + 0.052 * k], [cx + 0.016, start + 0.052 * k + 0.016]]), 5.5, 1.0))
    return [np.float32(1.25) * metal * strokes(a.pose, a.size, lines)]


def _lead(a: Anatomy, x: float, y: float, inward: float, rng: np.random.Generator) -> Map:
    """A short wire or catheter that leaves a generator towards the midline and turns down."""
    t = np.linspace(0, 1, 12)[:, None]
    reach, fall = rng.uniform(0.07, 0.11), rng.uniform(0.05, 0.11)
    path = np.concatenate([x + inward * reach * np.sin(1.57 * t), y - 0.045 * np.sin(3.14 * t) + fall * t**3], axis=1)
    return strokes(a.pose, a.size, [(path, 6.0, 1.0)])


def _drain(a: Anatomy, sign: Sign, rng: np.random.Generator) -> Map:
    """A chest tube that enters between two ribs and climbs along the inside of the chest wall."""
    lung = _lung(a, sign, rng)
    entry, tip = (lung.top + (lung.base - lung.top) * rng.uniform(*part) for part in ((0.60, 0.72), (0.18, 0.32)))
    t = np.linspace(0, 1, 12)[:, None]
    start, end = lung.wall_at(entry) + 0.04, lung.wall_at(tip) - rng.uniform(0.03, 0.06)
    s = start + (end - start) * t - 0.06 * np.sin(math.pi * t)
    path = np.concatenate([lung.outward * s, entry + (tip - entry) * t**1.4], axis=1)
    return strokes(a.pose, a.size, [(path, 15.0, 0.45), (path, 5.0, 1.0)])


def _venous_line(a: Anatomy, outward: float, rng: np.random.Generator) -> Map:
    """A catheter that comes from the shoulder along the clavicle, and turns down beside the spine."""
    t = np.linspace(0, 1, 12)[:, None]
    shoulder, height = rng.uniform(0.24, 0.29), a.marks["clavicle"] + rng.uniform(0.0, 0.03)
    bend = np.concatenate([shoulder + (0.03 - shoulder) * t, height - 0.035 * np.sin(math.pi * t)], axis=1)
    down = np.concatenate([0.03 - 0.012 * t, height + rng.uniform(0.12, 0.19) * t], axis=1)
    path = np.concatenate([bend, down]) * np.array([outward, 1.0])
    return strokes(a.pose, a.size, [(path, 6.5, 1.0)])


def _solid(a: Anatomy, shape: Map, sign: Sign) -> Map:
    """Soft tissue that replaces lung: it is dense, and hides the vessels."""
    share = np.float32(0.45 if sign.uncertain else 1.0)
    return share * shape * (np.float32(0.50) * np.sqrt(a.lung) - np.float32(0.8) * a.vessels)


def cardiomegaly(a: Anatomy, sign: Sign, rng: np.random.Generator) -> list[Map]:
    """A heart whose left ventricle bulges far into the lung; if it is large, the right atrium does too.

    A sign with a side bulges to that side alone.
    """
    both = a.projection == "frontal" and not sign.side and sign.size > 0.5
    return [_bulge(a, sign, side) for side in (("left", "right") if both else (sign.side or "left",))]


def _bulge(a: Anatomy, sign: Sign, side: str) -> Map:
    hx, hy, ha, hb = a.heart
    grow = 0.6 if sign.uncertain else 1.0 + 0.45 * sign.size
    front = a.projection == "frontal"
    direction = (1.0 if side == "left" else -1.0) if front else 1.0
    if front and direction > 0:
        r2 = tilted(a.x - (hx + 0.062 * grow), a.y - (hy + 0.002), ha + 0.006, hb + 0.038 * grow, HEART_TILT * 0.8)
    elif front:
        r2 = tilted(a.x + 0.058 + 0.022 * grow, a.y - (hy - 0.01), 0.060 + 0.022 * grow, 0.095 + 0.018 * grow, 0.0)
    else:
        r2 = tilted(a.x - (hx + 0.05 * grow), a.y - (hy - 0.02), ha - 0.005, hb + 0.045 * grow, HEART_TILT)
    bulge = edge(1.0 - r2, 0.07) * (0.78 + 0.22 * dome(r2))
    half = edge(a.x * np.float32(direction) + (0.1 if not front else 0.0), 0.02)
    return _solid(a, bulge * half, sign)


def enlarged_cardiomediastinum(a: Anatomy, sign: Sign, rng: np.random.Generator) -> list[Map]:
    """An upper mediastinum that bulges to one side in two or three dense lobes."""
    front = a.projection == "frontal"
    outward = a.lungs[sign.side].outward if front else -1.0
    width = (0.055 if sign.uncertain else 0.095) + 0.035 * sign.size
    height = (0.085 if sign.uncertain else 0.115) + 0.03 * sign.size
    y = a.marks["top"] + 0.155 + rng.uniform(-0.02, 0.025)
    x = outward * (0.03 if front else 0.10)
    r2 = tilted(a.x - x, a.y - y, width, height, 0.12 * outward)
    lobes = 1.0 + 0.12 * np.cos((a.y - y) * np.float32(rng.uniform(44, 54)) + np.float32(rng.uniform(0, 6)))
    r2 = r2 / np.square(lobes)
    side = edge(a.x * np.float32(outward), 0.01) if front else np.float32(1.0)
    return [_solid(a, edge(1.0 - r2, 0.10) * (0.75 + 0.25 * dome(r2)) * side, sign)]


DEVICES = ("pacemaker", "port", "tube", "wires")
"""Devices of version 1 of the phantom; an endotracheal tube and sternal wires are on the midline."""
SIDED_DEVICES = ("pacemaker", "port", "drain", "line")
"""Devices of version 2: each is on one side."""

SIGNS: dict[str, Callable[[Anatomy, Sign, np.random.Generator], list[Map]]] = {
    "Enlarged Cardiomediastinum": enlarged_cardiomediastinum,
    "Cardiomegaly": cardiomegaly,
    "Lung Opacity": lung_opacity,
    "Lung Lesion": lung_lesion,
    "Edema": edema,
    "Consolidation": consolidation,
    "Pneumonia": pneumonia,
    "Atelectasis": atelectasis,
    "Pneumothorax": pneumothorax,
    "Pleural Effusion": pleural_effusion,
    "Pleural Other": pleural_other,
    "Fracture": fracture,
    "Support Devices": support_devices,
}
"""One function per abnormal finding."""

# Signs with fixed places come first; signs that can be anywhere in the lungs are then placed beside them.
PLACING_ORDER: tuple[str, ...] = (
    "Cardiomegaly",
    "Enlarged Cardiomediastinum",
    "Pleural Effusion",
    "Pneumothorax",
    "Support Devices",
    "Pleural Other",
    "Consolidation",
    "Pneumonia",
    "Edema",
    "Atelectasis",
    "Lung Opacity",
    "Lung Lesion",
    "Fracture",
)


def bounding_box(mask: NDArray[np.bool_]) -> PixelBox | None:
    """The smallest box that contains every true pixel of a mask ``[h w]``; None if there is none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def trim(raw: Map) -> Drawn | None:
    """Shrink all values towards zero by a tenth of the peak, and find the box; None if almost no pixel is left."""
    level = np.abs(raw)
    peak = float(level.max())
    if peak < 0.01:
        return None
    change = (np.sign(raw) * np.maximum(level - np.float32(0.1 * peak), 0.0)).astype(np.float32)
    box = bounding_box(change != 0)
    if box is None or box[2] - box[0] < 3 or box[3] - box[1] < 3:
        return None
    return Drawn(change, box)


def _hidden(box: PixelBox, others: Sequence[PixelBox]) -> float:
    """Largest overlap of a box with an earlier one, as a share of the smaller box."""
    x0, y0, x1, y1 = box
    share = 0.0
    for left, top, right, bottom in others:
        common = max(min(x1, right) - max(x0, left), 0) * max(min(y1, bottom) - max(y0, top), 0)
        smaller = min((x1 - x0) * (y1 - y0), (right - left) * (bottom - top))
        share = max(share, common / smaller)
    return share


def place(a: Anatomy, sign: Sign, seed: Sequence[int], taken: Sequence[PixelBox], tries: int = 6) -> list[Drawn]:
    """Draw one sign, at most ``tries`` times, until it overlaps little with earlier signs."""
    best: list[Drawn] = []
    least = math.inf
    for attempt in range(tries):
        rng = np.random.default_rng([*seed, attempt])
        drawn = [one for raw in SIGNS[sign.finding](a, sign, rng) if (one := trim(raw)) is not None]
        if not drawn:
            continue
        hidden = max(_hidden(one.box, taken) for one in drawn)
        if hidden < least:
            best, least = drawn, hidden
        if least < 0.15:
            break
    return best
