"""A check that refuses colour pictures.

A film that was stored in colour mode passes: it is grey except for a marker or the noise of JPEG.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from ammrg.errors import ReadError

SPREAD = 32
"""A pixel is in colour where its red, green and blue differ by more than this, in levels of 255. Noise of JPEG and the
tint of a scanned film differ by less."""
SHARE = 0.05
"""The largest share of pixels in colour that a film may have; letters, arrows and a border have less."""
SIDE = 256
"""Pictures are shrunk to about this longer side, in pixels, before the check: this averages out the noise of single
pixels."""


def check_grey(image: Image.Image, name: str) -> None:
    """Refuse a picture in colour.

    Args:
        image: loaded, in any 8-bit mode. Transparent pixels count as black.
        name: of the film, at the start of the message.

    Raises:
        ReadError: more than :data:`SHARE` of its pixels are in colour.
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
