"""An activation map as a transparent picture that is laid over its film."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ammrg.maps import shows_place

SIDE = 256
"""Width and height of a layer in pixels; it is stretched over its film."""


class MapLayer(NamedTuple):
    """A map to lay over its film."""

    pixels: NDArray[np.uint8]
    """RGBA ``[h w 4]``: where the map is 0, the film is seen through it."""
    peak: tuple[float, float]
    """x and y of the strongest cell's point, in relative film coordinates."""


def map_layer(heat: NDArray[np.float32], shift: float) -> MapLayer | None:
    """Draw a map as a layer; a map that the shift would leave short of an edge goes on to it.

    Args:
        heat: activation map ``[gh gw]`` >= 0.
        shift: see :attr:`ammrg.imaging.panel.CasePage.cell_shift`.

    Returns:
        None: the map shows no place (:func:`ammrg.maps.shows_place`).
    """
    if not shows_place(torch.from_numpy(heat)):
        return None
    from matplotlib import colormaps

    high, wide = heat.shape
    scaled = cv2.resize(heat / heat.max(), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    moved = np.array([[1, 0, shift * SIDE / wide], [0, 1, shift * SIDE / high]], np.float32)
    strength = np.clip(cv2.warpAffine(scaled, moved, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE), 0, 1)
    pixels = colormaps["inferno"](strength, bytes=True)
    pixels[..., 3] = np.round(strength * 255)
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    return MapLayer(pixels, (float((column + 0.5 + shift) / wide), float((row + 0.5 + shift) / high)))
