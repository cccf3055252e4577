"""Films and maps as data URIs, so that the page asks for nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ammrg.imaging.embedded import data_uri
from ammrg.imaging.map_layer import map_layer
from ammrg.imaging.reading import resized
from ammrg.inference.finding_maps import FindingMap

FILM_SIDE, THUMBNAIL_SIDE = 1024, 192
"""Longer side of a film on the page, in pixels."""


def film_picture(film: NDArray[np.uint8], side: int = FILM_SIDE) -> str:
    """Encode a film, 8-bit grey ``[h w]``, as a JPEG whose longer side is at most ``side``."""
    return data_uri(Image.fromarray(resized(film, side / max(film.shape))), "JPEG", quality=88)


def map_picture(found: FindingMap, shift: float) -> dict[str, Any] | None:
    """Encode the map of a finding with its film and the place of its peak; None where it shows no place.

    Args:
        found: the map.
        shift: see :attr:`ammrg.imaging.panel.CasePage.cell_shift`.
    """
    layer = map_layer(found.heat, shift)
    if layer is None:
        return None
    return {"film": found.film, "src": data_uri(Image.fromarray(layer.pixels), "PNG"), "peak": layer.peak}
