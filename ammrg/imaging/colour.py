"""Pictures in colour are no films; films stored as colour are grey, but for a marker or the noise of JPEG."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ammrg.errors import ReadError

SPREAD = 32
"""Levels of 255 between the greatest and the least of red, green and blue, above which a pixel is in colour. Noise of
JPEG and the tint of a scanned film lie below."""
SHARE = 0.05
"""Of a picture's pixels that may be in colour: letters, arrows and a border are less."""
SIDE = 256
"""The longer side at which colour is looked at, in pixels: noise of single ones is averaged away."""


def check_grey(image: Image.Image, name: str) -> None:
    """Refuse a picture in colour.

    Args:
        image: of any 8-bit mode, loaded. What is transparent counts as black.
        name: opens the message.

    Raises:
        ReadError: more than :data:`SHARE` of it is in colour.
    """
    if image.mode in ("1", "L", "LA", "La"):
        return
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        image = Image.composite(coloured.convert("RGB"), Image.new("RGB", image.size), coloured.getchannel("A"))
    small = image.convert("RGB").reduce(max(1, max(image.size) // SIDE))
    levels = np.asarray(small, dtype=np.int16)
    share = float((np.ptp(levels, axis=2) > SPREAD).mean())
    if share > SHARE:
        raise ReadError(
            f"{name}: a picture in colour ({share:.0%} of it, and a film has at most {SHARE:.0%}); if it shows a film, "
            "save it in grey first, for instance with magick film.png -colorspace Gray grey.png"
        )
