"""Normal anatomy, frontal and lateral: attenuation of a patient without findings, and landmarks for placing signs.

Numbers are water-equivalent attenuation: about 0.15 for a lung field, 0.6 for the chest wall, 0.9 for the
mediastinum, 1.7 for metal. Normal variation stays well below the size of any sign.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from datamodules.sources.phantom.canvas import Map, Points, Pose, bump, curve, dome, edge, strokes, texture

HEART_TILT = 0.62
RIB_PITCH = 0.066
RIB_HALF = 0.15


class Positioning(NamedTuple):
    """How freely patients stand before the detector, and where signs of the levels upper, mid and lower are drawn.

    Heights within a lung are shares of its height, 0 at the apex.
    """

    across: float
    """Largest shift to a side, as a share of the film, and down."""
    down: float
    turn: float
    """Largest rotation in degrees."""
    scale: tuple[float, float]
    """Smallest and largest magnification."""
    lung: Mapping[str, tuple[float, float]]
    """Range of heights of the middle of a sign in the lung."""
    pleura: Mapping[str, float]
    """Height of the middle of a pleural thickening."""
    air: Mapping[str, tuple[float, float]]
    """Height of the middle of a pneumothorax, and half the height of the smallest."""
    ribs: Mapping[str, tuple[int, int]]
    """The first broken rib: from the first number on, below the second."""
    breaks: Mapping[str, tuple[float, float]]
    """Range of the distance of a rib's break from the midline."""


LOOSE = Positioning(
    across=0.12,
    down=0.12,
    turn=5.0,
    scale=(0.94, 1.26),
    lung={"upper": (0.14, 0.36), "mid": (0.38, 0.60), "lower": (0.62, 0.84)},
    pleura={"upper": 0.28, "mid": 0.48, "lower": 0.66},
    air={"upper": (0.10, 0.30), "mid": (0.42, 0.30), "lower": (0.42, 0.30)},
    ribs={"upper": (2, 4), "mid": (4, 6), "lower": (6, 8)},
    breaks=dict.fromkeys(("upper", "mid", "lower"), (0.13, 0.26)),
)
"""Version 1 of the phantom: patients stand anywhere, and neighbouring levels touch."""
CENTRED = Positioning(
    across=0.01,
    down=0.015,
    turn=3.0,
    scale=(0.98, 1.20),
    lung={"upper": (0.10, 0.28), "mid": (0.40, 0.55), "lower": (0.72, 0.88)},
    pleura={"upper": 0.22, "mid": 0.50, "lower": 0.74},
    air={"upper": (0.10, 0.24), "mid": (0.50, 0.20), "lower": (0.86, 0.24)},
    ribs={"upper": (1, 2), "mid": (4, 5), "lower": (6, 7)},
    breaks={"upper": (0.12, 0.17), "mid": (0.13, 0.20), "lower": (0.18, 0.26)},
)
"""Version 2: patients stand in the middle, and levels are apart, so that a box alone tells its side and level."""


@dataclass
class Lung:
    """One lung field: the right or left lung on a frontal film, the front or back half on a lateral film."""

    name: str
    outward: float
    """+1 if the chest wall is towards film right, -1 if it is towards film left."""
    s: Map
    """Distance from the midline, outward."""
    outer: Map
    """The chest wall's s at each pixel's height."""
    bottom: Map
    """The diaphragm's y at each pixel's s."""
    mask: Map
    """Aerated lung, 0..1, without heart and mediastinum."""
    wall: list[tuple[float, float]]
    top: float
    base: float
    ribs_top: float

    def wall_at(self, y: float) -> float:
        """Distance of the chest wall from the midline at a height."""
        heights, reaches = zip(*self.wall, strict=True)
        return float(np.interp(y, np.array(heights), np.array(reaches)))


@dataclass
class Anatomy:
    """A patient's anatomy as one film projects it."""

    projection: str
    size: int
    pose: Pose
    x: Map
    y: Map
    attenuation: Map
    lungs: dict[str, Lung]
    lung: Map
    """All aerated lung, 0..1."""
    vessels: Map
    """Attenuation of the pulmonary vessels."""
    ribs: Map
    """Attenuation of the posterior ribs."""
    clavicles: Map
    heart: tuple[float, float, float, float]
    """Centre x, y and half-axes of the ellipse of the left heart; on a lateral film, of the whole heart."""
    positioning: Positioning
    marks: dict[str, float] = field(default_factory=dict)

    def at(self, x: float, y: float) -> tuple[int, int]:
        """Pixel (row, column) of a point in patient coordinates, moved inside the film if necessary."""
        u, v = self.pose.to_film(np.array([x, y]))
        last = self.size - 1
        return min(max(int(v * self.size), 0), last), min(max(int(u * self.size), 0), last)


def rib_arch(s: Map | float) -> Map | float:
    """Height of a posterior rib below its vertebra at distance s from the midline."""
    return 1.5 * (s - 0.10) * (s - 0.10)


def _ribs(lung: Lung, y: Map, count: int, slope: float = 0.0) -> tuple[Map, Map]:
    """Posterior and anterior ribs of one side as profiles 0..1."""

    def profile(phase: Map, half: float) -> Map:
        index = np.floor(phase + 0.5)
        off = np.abs(phase - index) * np.float32(1 / half)
        band = edge(1.0 - off, 0.22) * (0.55 + 0.45 * off * off)
        ribs: Map = band * ((index >= 0) & (index < count))
        return ribs

    reach = edge(lung.outer + 0.012 - lung.s, 0.008)
    posterior = profile((y - lung.ribs_top - rib_arch(lung.s) - slope * lung.s) / np.float32(RIB_PITCH), RIB_HALF)
    posterior = posterior * reach * edge(lung.s - 0.02, 0.02)
    front = (y - lung.ribs_top - 0.13 - 0.55 * (0.33 - lung.s)) / np.float32(RIB_PITCH * 1.25)
    anterior = profile(front, 0.17) * reach * edge(lung.s - 0.15, 0.05)
    return posterior, anterior


def _wall(top: float, base: float, half: float, steep: float, blunt: float) -> list[tuple[float, float]]:
    """Inner chest wall as (y, s) pairs from apex to base: rounded above, nearly straight below."""
    heights = np.linspace(0, 1, 24) ** 1.6
    return [(top + t * (base - top), half * (1 - (1 - t) ** steep) ** blunt) for t in heights]


def _vessel_tree(
    root: tuple[float, float], outward: float, rng: np.random.Generator
) -> list[tuple[Points, float, float]]:
    """Branches from the hilum, thick to thin, three generations."""
    lines: list[tuple[Points, float, float]] = []
    generations: list[list[tuple[Points, float, float, float]]] = [[], [], []]
    angles = np.linspace(-1.25, 1.35, 8) + rng.normal(0, 0.1, 8)
    draws = rng.random((8, 8))
    for angle, draw in zip(angles, draws, strict=True):
        length = 0.10 + 0.05 * draw[0]
        bend = (draw[1] - 0.5) * 0.03
        direction = np.array([math.cos(angle) * outward, math.sin(angle)])
        normal = np.array([-direction[1], direction[0]])
        t = np.array([0.0, 0.5, 1.0])[:, None]
        trunk = np.array(root) + direction * length * t + normal * bend * np.sin(math.pi * t)
        generations[0].append((trunk, 8.0, 0.9, angle))
        for k in range(3):
            child = angle + (draw[2 + k] - 0.5) * 1.3
            start = trunk[1] if k == 0 else trunk[2]
            reach = 0.07 + 0.05 * draw[5 + k]
            d = np.array([math.cos(child) * outward, math.sin(child)])
            twig = start + d * reach * t
            generations[1].append((twig, 4.5, 0.6, child))
            for turn in (-0.4, 0.45):
                e = np.array([math.cos(child + turn) * outward, math.sin(child + turn)])
                generations[2].append((twig[2] + e * 0.06 * t, 2.2, 0.35, child))
    for generation in reversed(generations):
        lines += [(points, width, brightness) for points, width, brightness, _ in generation]
    return lines


def _pose(rng: np.random.Generator, half_width: float, positioning: Positioning) -> Pose:
    scale = rng.uniform(*positioning.scale)
    width = rng.uniform(0.92, 1.06)
    slack_x = min(max(0.485 - half_width * scale * width, 0.0), positioning.across)
    slack_y = min(max(0.485 - 0.335 * scale, 0.0), positioning.down)
    return Pose(
        cx=0.5 + rng.uniform(-slack_x, slack_x),
        cy=0.5 + rng.uniform(-slack_y, slack_y),
        scale=scale,
        width=width,
        angle=math.radians(rng.uniform(-positioning.turn, positioning.turn)),
    )


def frontal(rng: np.random.Generator, size: int, positioning: Positioning) -> Anatomy:
    """A normal frontal radiograph's attenuation and landmarks."""
    half = rng.uniform(0.295, 0.335)
    pose = _pose(rng, half + 0.02, positioning)
    x, y = pose.grids(size)
    top = rng.uniform(0.125, 0.15)
    domes = {"right": rng.uniform(0.655, 0.69), "left": rng.uniform(0.675, 0.715)}
    soft = rng.uniform(0.52, 0.62)

    shoulder = [
        (0.0, 0.14),
        (0.04, 0.155),
        (0.09, 0.28),
        (0.14, 0.43),
        (0.22, 0.485),
        (0.36, half + 0.12),
        (0.5, half + 0.10),
        (1.0, half + 0.12),
    ]
    body_half = curve(shoulder, y)
    lateral_position = np.abs(x) / body_half
    body = edge(body_half - np.abs(x), 0.008) * (soft * (0.55 + 0.45 * dome(lateral_position * lateral_position)))
    fat = rng.uniform(0.0, 0.07)
    body += np.float32(0.05) * texture(2, size, rng) * edge(body_half - np.abs(x), 0.02) * np.float32(0.35)

    # Heart: left ventricle and right atrium; its normal size varies little.
    hx, hy = 0.035 + rng.uniform(-0.006, 0.006), 0.60 + rng.uniform(-0.008, 0.008)
    ha, hb = rng.uniform(0.140, 0.150), rng.uniform(0.100, 0.108)
    left_heart = 1.0 - tilted(x - hx, y - hy, ha, hb, HEART_TILT)
    right_heart = 1.0 - tilted(x + 0.030, y - hy + 0.015, 0.062, 0.115, 0.0)
    waist = 1.0 - tilted(x - 0.022, y - 0.49, 0.055, 0.10, -0.25)
    inside_heart = np.maximum(np.maximum(left_heart, right_heart), waist)
    heart = edge(inside_heart, 0.07)
    heart_thick = np.sqrt(np.sqrt(np.maximum(inside_heart, 0.0)))

    # Mediastinum: great vessels, aortic knob, trachea.
    band = curve([(0.0, 0.05), (0.16, 0.043), (0.30, 0.046), (0.45, 0.055), (1.0, 0.055)], y)
    mediastinum = edge(band - np.abs(x), 0.012)
    knob = edge(1.0 - tilted(x - 0.036, y - rng.uniform(0.325, 0.345), 0.036, 0.04, 0.0), 0.2)
    pulmonary = edge(1.0 - tilted(x - 0.045, y - 0.425, 0.035, 0.045, 0.2), 0.25)
    centre = np.maximum(np.maximum(mediastinum, knob), pulmonary)

    lungs: dict[str, Lung] = {}
    lung = np.zeros_like(x)
    for name, outward in (("right", -1.0), ("left", 1.0)):
        s = x * np.float32(outward)
        base = domes[name] + rng.uniform(0.095, 0.11)
        wall = _wall(top, base, half, 2.5, 0.5)
        outer = curve([(top - 0.001, -0.05), *wall], y)
        bottom = domes[name] + (base - domes[name]) * np.square((s - 0.15) / np.float32(half - 0.15))
        inner = curve([(0.0, 0.10), (top, 0.09), (0.24, 0.045), (1.0, 0.045)], y)
        mask = edge(outer - s, 0.009) * edge(s - inner, 0.010) * edge(bottom - y, 0.005)
        mask = mask * (1.0 - heart) * (1.0 - centre)
        lungs[name] = Lung(name, outward, s, outer, bottom, mask, wall, top, base, top + 0.025)
        lung = lung + mask

    wall_depth = edge(np.maximum(lungs["right"].outer - lungs["right"].s, 0) - 0.05, 0.07)
    left_depth = edge(np.maximum(lungs["left"].outer - lungs["left"].s, 0) - 0.05, 0.07)
    depth = np.where(x < 0, wall_depth, left_depth)
    air = (soft - rng.uniform(0.15, 0.19)) * (0.70 + 0.30 * depth)

    posterior, anterior = np.zeros_like(x), np.zeros_like(x)
    for one in lungs.values():
        back, front = _ribs(one, y, 10)
        posterior += back
        anterior += front
    ribs = posterior * np.float32(rng.uniform(0.085, 0.11))
    clavicles = np.zeros_like(x)
    clavicle_y = top + rng.uniform(0.045, 0.065)
    for one in lungs.values():
        middle = clavicle_y - 0.16 * (one.s - 0.03) + 0.028 * np.sin((one.s - 0.03) * np.float32(17.0))
        off = np.abs(y - middle) / np.float32(0.0125)
        clavicles += (
            edge(1 - off, 0.25) * (0.5 + 0.5 * off * off) * edge(one.s - 0.035, 0.008) * edge(0.34 - one.s, 0.02)
        )
    clavicles *= np.float32(0.13) * edge(body_half - np.abs(x) - 0.02, 0.01)

    # The spine shows through: vertebral bodies and discs.
    disc = np.abs(np.mod(y / np.float32(0.052), 1.0) - 0.5)
    spine = edge(0.036 - np.abs(x), 0.008) * (0.06 + 0.05 * edge(0.38 - disc, 0.06))
    trachea = edge(0.017 - np.abs(x - 0.004), 0.006) * edge(0.40 - y, 0.02) * np.float32(0.13)

    trees = []
    for one in lungs.values():
        trees += _vessel_tree((one.outward * 0.055, 0.43), one.outward, rng)
    vessels = strokes(pose, size, trees) * lung * np.float32(0.13)

    hilum = sum(
        bump(tilted(x - one.outward * 0.065, y - 0.44, 0.035, 0.06, 0.3 * one.outward)) for one in lungs.values()
    )
    abdomen = np.maximum(
        edge(y - lungs["right"].bottom, 0.006) * (x < 0), edge(y - lungs["left"].bottom, 0.006) * (x >= 0)
    )
    below = abdomen * edge(0.9 - lateral_position, 0.12)
    t = body + np.float32(fat) * edge(lateral_position - 0.75, 0.2) * (body > 0.05)
    t = t - air * lung + 0.15 * heart_thick * heart
    t = (
        t
        + 0.15 * centre * edge(0.62 - y, 0.1) * edge(y - 0.10, 0.08)
        + 0.16 * below * edge(0.95 - np.abs(x) / np.float32(half + 0.08), 0.1)
    )
    t = t + ribs + 0.05 * anterior + clavicles + spine - trachea + vessels + 0.10 * hilum * lung
    # Scapulae: soft oblique edges at the outer upper corners.
    scapula = np.abs(x) - (half - 0.015 + 0.25 * np.square(y - 0.33))
    t = t + 0.05 * edge(scapula, 0.006) * edge(y - 0.18, 0.02) * edge(0.48 - y, 0.04) * (body > 0.05)
    if rng.random() < 0.6:  # gas in the stomach, under the left dome
        gas = bump(tilted(x - 0.15, y - domes["left"] - 0.065, 0.06, 0.04, 0.1))
        t = t - 0.22 * gas * edge(y - lungs["left"].bottom - 0.02, 0.008)
    if rng.random() < 0.35:  # breast shadows, both sides, wide and very soft
        for one in lungs.values():
            t = t + 0.05 * edge(1.0 - tilted(one.s - 0.19, y - 0.62, 0.16, 0.14, 0.0), 0.35) * (body > 0.05)
    t = np.maximum(t, 0.0) + np.float32(0.018) * texture(2, size, rng) * lung
    return Anatomy(
        "frontal",
        size,
        pose,
        x,
        y,
        t,
        lungs,
        lung,
        vessels,
        ribs,
        clavicles,
        (hx, hy, ha, hb),
        positioning,
        {"half": half, "top": top, "clavicle": clavicle_y},
    )


def lateral(rng: np.random.Generator, size: int, positioning: Positioning) -> Anatomy:
    """A normal left lateral radiograph's attenuation and landmarks; the front of the chest is at film left."""
    half = rng.uniform(0.235, 0.265)
    pose = _pose(rng, half + 0.07, positioning)
    x, y = pose.grids(size)
    top = rng.uniform(0.13, 0.155)
    soft = rng.uniform(0.56, 0.66)
    dome_y = rng.uniform(0.63, 0.665)
    base = dome_y + rng.uniform(0.12, 0.14)

    front_wall = [(0.0, 0.09), (0.06, 0.11), (0.2, half), (0.42, half + 0.06), (0.65, half + 0.06), (1.0, half + 0.08)]
    back_wall = [
        (0.0, 0.16),
        (0.08, 0.22),
        (0.2, half + 0.09),
        (0.42, half + 0.12),
        (0.7, half + 0.10),
        (1.0, half + 0.08),
    ]
    front, back = curve(front_wall, y), curve(back_wall, y)
    body_edge = np.where(x < 0, front + x, back - x)
    body = edge(body_edge, 0.008) * (soft * (0.60 + 0.40 * edge(body_edge - 0.08, 0.1)))

    hx, hy = -0.075 + rng.uniform(-0.008, 0.008), 0.555 + rng.uniform(-0.01, 0.01)
    ha, hb = rng.uniform(0.128, 0.138), rng.uniform(0.092, 0.10)
    inside_heart = 1.0 - tilted(x - hx, y - hy, ha, hb, HEART_TILT)
    heart = edge(inside_heart, 0.16)

    walls = {
        "anterior": _wall(top, base, half - 0.025, 2.2, 0.45),
        "posterior": _wall(top, base, half + 0.01, 2.4, 0.42),
    }
    bottom = dome_y + np.where(
        x > -0.02,
        (base - dome_y) * np.square((x + 0.02) / np.float32(half + 0.02)),
        np.float32(0.55) * np.square(x + 0.02),
    )
    second = rng.uniform(0.018, 0.032)
    outers = {name: curve([(top - 0.001, -0.05), *wall], y) for name, wall in walls.items()}
    inside = edge(np.where(x < 0, outers["anterior"] + x, outers["posterior"] - x), 0.009)
    air = inside * edge(bottom - y, 0.005)
    partial = inside * edge(bottom - second - y, 0.005)
    lung = air * (1.0 - heart)
    lungs = {
        name: Lung(
            name,
            outward,
            x * np.float32(outward),
            outers[name],
            bottom,
            lung * (x * outward > 0),
            walls[name],
            top,
            base,
            top + 0.02,
        )
        for name, outward in (("anterior", -1.0), ("posterior", 1.0))
    }

    phase = (y - top + 0.30 * x - 0.9 * x * x) / np.float32(0.074)
    index = np.floor(phase + 0.5)
    off = np.abs(phase - index) / np.float32(0.16)
    reach = edge(np.where(x < 0, front - 0.02 + x, back - 0.02 - x), 0.01)
    ribs = edge(1 - off, 0.22) * (0.55 + 0.45 * off * off) * ((index >= 0) & (index < 9)) * reach * edge(x + 0.12, 0.08)
    ribs *= np.float32(rng.uniform(0.065, 0.085))

    spine_x = x - (half - 0.055) + 0.35 * np.square(y - 0.45)
    disc = np.abs(np.mod(y / np.float32(0.062), 1.0) - 0.5)
    spine = edge(0.036 - np.abs(spine_x), 0.006) * (0.07 + 0.09 * edge(0.36 - disc, 0.06)) * edge(y - 0.10, 0.05)
    sternum = edge(0.010 - np.abs(front + x - 0.035), 0.005) * edge(y - 0.2, 0.02) * edge(0.56 - y, 0.02)
    trachea = edge(0.016 - np.abs(x - 0.01 - 0.12 * (y - 0.3)), 0.006) * edge(0.40 - y, 0.02) * edge(y - 0.1, 0.03)
    arch = bump(tilted(x - 0.03, y - 0.34, 0.07, 0.06, 0.0)) + bump(tilted(x - 0.02, y - 0.43, 0.05, 0.05, 0.0))

    trees = _vessel_tree((0.02, 0.43), 1.0, rng) + _vessel_tree((0.0, 0.43), -1.0, rng)
    vessels = strokes(pose, size, trees) * lung * np.float32(0.10)

    abdomen = edge(y - bottom, 0.006) * edge(body_edge - 0.03, 0.04)
    t = body - (soft - rng.uniform(0.17, 0.21)) * (0.55 * lung + 0.45 * partial * (1 - heart)) + 0.04 * heart
    t = (
        t
        + 0.13 * np.sqrt(np.sqrt(np.maximum(inside_heart, 0.0)))
        + 0.14 * abdomen
        + ribs
        + spine
        + 0.12 * sternum
        - 0.10 * trachea
    )
    arms = edge(0.16 - y, 0.06) * edge(body_edge, 0.02)
    t = t + vessels + 0.12 * arch + 0.16 * arms
    t = np.maximum(t, 0.0) + np.float32(0.018) * texture(2, size, rng) * lung
    return Anatomy(
        "lateral",
        size,
        pose,
        x,
        y,
        t,
        lungs,
        lung,
        vessels,
        ribs,
        np.zeros_like(ribs),
        (hx, hy, ha, hb),
        positioning,
        {"half": half, "top": top, "clavicle": top},
    )


def tilted(dx: Map, dy: Map, a: float, b: float, angle: float) -> Map:
    """Squared elliptic radius: 1 on the border of the ellipse with half-axes a (turned by ``angle``) and b."""
    cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return np.square((cos * dx + sin * dy) / np.float32(a)) + np.square((cos * dy - sin * dx) / np.float32(b))
