"""Films and maps inside a page: a film as a data URI, a map as whole hundredths."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

QUALITY = 80
"""JPEG quality of the films, from 0 to 100."""


def film_uri(film: NDArray[np.uint8], side: int | None = None) -> str:
    """Encode a film as JPEG.

    Args:
        film: grey ``[h w]``.
        side: width and height that it is drawn with, in pixels; None: its own.

    Returns:
        A data URI. It holds nothing but the pixels.
    """
    picture = Image.fromarray(film)
    return data_uri(picture if side is None else picture.resize((side, side)), "JPEG", quality=QUALITY)


def data_uri(picture: Image.Image, kind: str, **options: Any) -> str:
    """Encode a picture as a data URI.

    Args:
        picture: any.
        kind: ``JPEG`` or ``PNG``.
        options: of Pillow's ``save``.
    """
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def hundredths(grid: NDArray[np.float32]) -> list[list[int]]:
    """A map ``[gh gw]`` >= 0 as whole hundredths of its maximum, row by row; all 0 where it is not finite."""
    if not np.isfinite(grid).all():
        grid = np.zeros_like(grid)
    rows: list[list[int]] = np.rint(100 * grid / max(float(grid.max()), 1e-12)).astype(int).tolist()
    return rows
