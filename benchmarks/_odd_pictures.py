"""Draws pictures that are not chest films, about which a network for chest films should warn."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Drawing = NDArray[np.float32]

HIGH, WIDE = 400, 320
BLACK, FLESH, BONE, DENSE = 8.0, 110.0, 180.0, 200.0
"""Greys of a radiograph of a limb."""
FINGERS = ((-60, 120), (-18, 190), (-4, 205), (10, 190), (24, 150))
"""Angle to the vertical in degrees, length in pixels; the thumb first."""


def noise(draw: np.random.Generator, side: int) -> Picture:
    """Independent random pixels, at the size that the network sees."""
    return draw.integers(0, 256, (side, side), dtype=np.uint8)


def smooth_noise(draw: np.random.Generator, side: int) -> Picture:
    """Noise blurred by 1 to 16 pixels, over all greys."""
    blurred = cv2.GaussianBlur(draw.normal(0, 1, (side, side)), (0, 0), float(2 ** draw.uniform(0, 4)))
    return grey((blurred - blurred.min()) / np.ptp(blurred) * 255)


def gradient(draw: np.random.Generator, side: int) -> Picture:
    """A linear gradient from black to white, in any direction between down and right."""
    right = draw.uniform(0, 255)
    return grey(np.add.outer(np.linspace(0, 255 - right, side), np.linspace(0, right, side)))


def flat(draw: np.random.Generator, side: int) -> Picture:
    """A single grey, which may be black or white."""
    return np.full((side, side), draw.integers(0, 256), np.uint8)


def photo(draw: np.random.Generator, side: int) -> Picture:
    """A bright sky over darker ground, with objects of any grey in front."""
    scene = np.repeat(np.linspace(200, 90, 300, dtype=np.float32)[:, None], 400, axis=1)
    for _ in range(14):
        x, y = int(draw.integers(0, 400)), int(draw.integers(100, 300))
        shade = float(draw.integers(20, 235))
        if draw.random() < 0.5:
            far = (x + int(draw.integers(20, 120)), y + int(draw.integers(20, 90)))
            cv2.rectangle(scene, (x, y), far, shade, cv2.FILLED)
        else:
            cv2.circle(scene, (x, y), int(draw.integers(8, 60)), shade, cv2.FILLED)
    return grey(scene + cv2.GaussianBlur(draw.normal(0, 60, scene.shape), (0, 0), 2))


def hand(draw: np.random.Generator, side: int) -> Picture:
    """A palm, five fingers with a bone each, two bones of the forearm."""
    film, wrist = dark(), (160, 270)
    cv2.ellipse(film, (160, 290), (70, 85), 0, 0, 360, FLESH, cv2.FILLED)
    cv2.rectangle(film, (120, 350), (200, HIGH), FLESH, cv2.FILLED)
    for angle, length in FINGERS:
        turned = np.radians(angle + draw.normal(0, 3))
        tip = (int(wrist[0] + length * np.sin(turned)), int(wrist[1] - length * np.cos(turned)))
        cv2.line(film, wrist, tip, FLESH, 34)
        cv2.line(film, wrist, tip, BONE, 12)
    for x, thickness in ((145, 18), (178, 14)):
        cv2.line(film, (x, 350), (x, HIGH), DENSE, thickness)
    return exposed(film, draw)


def skull(draw: np.random.Generator, side: int) -> Picture:
    """A head from the front: its bone, two orbits, nose and jaw."""
    film, width = dark(), int(draw.integers(110, 130))
    cv2.ellipse(film, (160, 170), (width, 150), 0, 0, 360, BONE, cv2.FILLED)
    cv2.ellipse(film, (160, 170), (width - 15, 135), 0, 0, 360, 120.0, cv2.FILLED)
    cv2.rectangle(film, (100, 270), (220, 350), 150.0, cv2.FILLED)
    for x in (115, 205):
        cv2.circle(film, (x, 190), 28, 60.0, cv2.FILLED)
    cv2.ellipse(film, (160, 235), (14, 22), 0, 0, 360, 60.0, cv2.FILLED)
    return exposed(film, draw)


def knee(draw: np.random.Generator, side: int) -> Picture:
    """The broad ends of thigh bone and shin bone, in flesh that crosses the film."""
    film = dark()
    cv2.rectangle(film, (80, 0), (240, HIGH), FLESH, cv2.FILLED)
    cv2.rectangle(film, (130, 0), (190, 180), BONE, cv2.FILLED)
    cv2.rectangle(film, (120, 215), (195, HIGH), BONE, cv2.FILLED)
    for y, broad in ((180, (50, 28)), (220, (52, 20))):
        cv2.ellipse(film, (160, y), broad, 0, 0, 360, DENSE, cv2.FILLED)
    return exposed(film, draw)


KINDS: dict[str, Callable[[np.random.Generator, int], Picture]] = {
    "noise": noise,
    "smooth noise": smooth_noise,
    "grey gradient": gradient,
    "flat grey": flat,
    "photo-like": photo,
    "hand": hand,
    "skull": skull,
    "knee": knee,
}
"""Kind -> function that draws one picture, uint8 ``[h w]``; its number is the side of the network's square input."""


def dark() -> Drawing:
    return np.full((HIGH, WIDE), BLACK, np.float32)


def exposed(film: Drawing, draw: np.random.Generator) -> Picture:
    """Make a drawn limb look like a film: slightly turned, shifted, scaled and blurred, with grain."""
    moved = cv2.getRotationMatrix2D((WIDE / 2, HIGH / 2), draw.uniform(-8, 8), draw.uniform(0.85, 1.05))
    moved[:, 2] += draw.uniform(-12, 12, 2)
    film = cv2.warpAffine(film, moved, (WIDE, HIGH), borderMode=cv2.BORDER_REPLICATE)
    return grey(cv2.GaussianBlur(film, (0, 0), 3.5) + draw.normal(0, 2, film.shape))


def grey(values: NDArray[np.floating]) -> Picture:
    return np.rint(values).clip(0, 255).astype(np.uint8)
