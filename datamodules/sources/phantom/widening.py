"""Widens hearts and mediastina of real frontal films by smoothly moving pixels away from the midline.

A drawn bulge would have to start exactly at the border of this patient's heart, which a fitted anatomy misses. A
movement takes the border along, wherever it is. The chest wall and the spine do not move; the lung between them is
compressed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from datamodules.sources.phantom.anatomy import Anatomy
from datamodules.sources.phantom.canvas import Map, bump, curve
from datamodules.sources.phantom.registration import Fit
from datamodules.sources.phantom.signs import PixelBox, Sign, bounding_box

SPINE = 0.015
"""Distance from the midline within which nothing moves; like all lengths here, in patient coordinates (canvas.py)."""
BOXED = 0.35
"""Share of the largest movement that a pixel in the box must have: the box holds the borders, not the whole lung."""
SHIFT = 0.3
"""Probability that a heart or mediastinum that is not widened is shifted to a side, by less and without widening.

Bent ribs alone must not reveal a widened heart.
"""


class Border(NamedTuple):
    """The borders of a shadow (heart or mediastinum) in a drawn patient, and the size of its movements."""

    centre: float
    """Height (y) of its centre."""
    reach: float
    """Distance up and down from the centre beyond which nothing moves."""
    right: float
    left: float
    """Distance of the borders from the midline."""
    wall: float
    """Distance from the midline beyond which nothing moves."""
    least: float
    most: float
    """Movement of the border that moves more, for signs of size 0 or less and of size 1."""
    right_share: float
    """Movement of the right border divided by that of the left."""


BORDERS = {
    "Cardiomegaly": Border(0.585, 0.20, 0.09, 0.165, 0.31, 0.03, 0.065, 0.4),
    "Enlarged Cardiomediastinum": Border(0.33, 0.19, 0.06, 0.07, 0.20, 0.016, 0.036, 1.0),
}


class Move(NamedTuple):
    """The outward movements of a shadow's two borders (inward if negative)."""

    finding: str
    right: float
    left: float


def plan_moves(signs: Sequence[Sign], rng: np.random.Generator) -> tuple[Move, ...]:
    """The movements that the signs require, and occasional shifts of shadows that are not widened."""
    sizes = {sign.finding: max(sign.size, 0.0) for sign in signs}
    moves = []
    for finding, border in BORDERS.items():
        shifted, share, side = rng.random(), rng.uniform(0.3, 0.8), 1.0 if rng.random() < 0.5 else -1.0
        if finding in sizes:
            far = border.least + (border.most - border.least) * sizes[finding]
            moves.append(Move(finding, border.right_share * far, far))
        elif shifted < SHIFT:
            far = side * share * border.least
            moves.append(Move(finding, -far, far))
    return tuple(moves)


def move(
    film: NDArray[np.uint8], fit: Fit, anatomy: Anatomy, moves: Sequence[Move]
) -> tuple[NDArray[np.uint8], list[tuple[str, PixelBox]]]:
    """Move the heart and mediastinum of a film.

    Args:
        film: uint8 ``[size size]``.
        fit: the drawn anatomy that fits the film.
        anatomy: that anatomy, drawn at the film's size.
        moves: movements from :func:`plan_moves`.

    Returns:
        The film, and the boxes of the widened shadows.
    """
    size = film.shape[0]
    boxes: list[tuple[str, PixelBox]] = []
    total = np.zeros((size, size), np.float32)
    for one in moves:
        outward = _outward(anatomy, one)
        total += outward
        if one.right + one.left > 0:
            far = np.abs(fit.lay(outward))
            if box := bounding_box(far > BOXED * far.max()):
                boxes.append((one.finding, box))
    if not total.any():
        return film, boxes
    # From patient coordinates to pixels of the drawn film, then to pixels of this film.
    pose = anatomy.pose
    pixels = fit.lay(total * np.float32(pose.scale * pose.width * size)).astype(np.float32)
    rows, columns = np.indices(film.shape, np.float32)
    moved = cv2.remap(
        film,
        columns - np.float32(fit.width * math.cos(pose.angle)) * pixels,
        rows - np.float32(fit.height * math.sin(pose.angle)) * pixels,
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(moved, np.uint8), boxes


def _outward(anatomy: Anatomy, one: Move) -> Map:
    """Movement along patient x that brings content to each pixel.

    It is 0 at the spine and the chest wall, and the full movement at the border's new place.
    """
    border = BORDERS[one.finding]
    height = bump(np.square((anatomy.y - np.float32(border.centre)) / np.float32(border.reach)))
    movement = np.zeros_like(height)
    for lung, natural, far in (("right", border.right, one.right), ("left", border.left, one.left)):
        s = anatomy.lungs[lung].s
        along = curve([(0.0, 0.0), (SPINE, 0.0), (natural + far, 1.0), (border.wall, 0.0), (1.0, 0.0)], s)
        movement += np.float32(anatomy.lungs[lung].outward * far) * along * (s > 0)
    return movement * height
