"""Any film file to 8-bit grey: PNG (8, 16 bit), JPEG (grey, RGB, CMYK), TIFF, BMP, DICOM; palette, alpha, EXIF too."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ammrg.errors import ReadError
from ammrg.imaging.dicom import read_dicom

FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP")
"""What is decoded; the content decides, never the suffix. Formats with interpreters behind them (EPS, PDF) are out."""

MAX_PIXELS = 64_000_000
"""A film has at most some 20 million pixels; a header that claims more than this is refused before decoding."""

DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""PIL modes with more than 8 bits a pixel."""


def read_film(
    source: Path | str | bytes, *, max_side: int | None = None, at_least: int | None = None
) -> NDArray[np.uint8]:
    """Decode one film to 8-bit grey, upright, aspect kept, never enlarged.

    More than 8 bits are windowed: the least used value becomes 0, the greatest 255. Colour becomes luma
    (ITU-R 601), transparency black.

    Args:
        source: a file, or its encoded bytes.
        max_side: the longer side of the result is at most this many pixels.
        at_least: a large JPEG may be decoded at 1/2, 1/4 or 1/8 scale as long as its shorter side stays at least
            this long; saves most of the decoding time. Other formats ignore it.

    Returns:
        uint8 ``[h w]``, contiguous.

    Raises:
        ReadError: no such file, not an image, truncated, no chest radiograph (DICOM), or more than :data:`MAX_PIXELS`;
            names file and reason.
    """
    name = f"{len(source)} bytes" if isinstance(source, bytes) else str(source)
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
            if is_dicom(file, name):
                film = read_dicom(file, name, MAX_PIXELS)
            else:
                film = decode(file, name, at_least if at_least is not None else max_side)
    except ReadError:
        raise
    except FileNotFoundError:
        raise ReadError(f"{name}: no such file") from None
    except Exception as error:  # decoders raise whatever a broken file makes them stumble over
        raise ReadError(f"{name}: cannot be decoded: {error or type(error).__name__}") from error
    return film if max_side is None else resized(film, max_side / max(film.shape))


def is_dicom(file: BinaryIO, name: str) -> bool:
    """True where an open file calls itself DICOM; rewinds.

    Raises:
        ReadError: the file is empty.
    """
    head = file.read(132)
    file.seek(0)
    if not head:
        raise ReadError(f"{name}: the file is empty")
    return head[128:] == b"DICM"


def decode(file: BinaryIO, name: str, at_least: int | None) -> NDArray[np.uint8]:
    """Pixels of an open image file as 8-bit grey ``[h w]``; raises whatever its decoder raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # bomb, EXIF and palette warnings: ours are errors or nothing
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ReadError(f"{name}: {width} x {height} pixels, more than the {MAX_PIXELS:,} a film may have")
            if at_least is not None and image.format == "JPEG":
                image.draft(None, (at_least, at_least))
            upright = ImageOps.exif_transpose(image)
            if upright.mode in DEEP_MODES:
                return window(np.asarray(upright))
            return np.array(to_grey(upright), dtype=np.uint8)


def to_grey(image: Image.Image) -> Image.Image:
    """8-bit luma of an image of any 8-bit mode; transparent pixels become black."""
    if image.mode == "L":
        return image
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        black = Image.new("RGBA", coloured.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, coloured).convert("L")
    return image.convert("L") if image.mode in ("1", "RGB", "YCbCr") else image.convert("RGB").convert("L")


def window(deep: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Deep pixels ``[h w]`` to 8 bits by their own least and greatest value; a constant film becomes black."""
    values = deep.astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("holds values that are not finite")
    if high == low:
        return np.zeros(values.shape, np.uint8)
    return np.asarray(np.rint((values - low) * (255.0 / (high - low))), dtype=np.uint8)


def shrink(film: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """``[h w]`` with its shorter side at most ``short_side`` pixels, aspect kept, never enlarged."""
    return resized(film, short_side / min(film.shape))


def resized(film: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """``[h w]`` times a scale, by pixel area; a scale of 1 or more gives the film back as it is."""
    if scale >= 1:
        return film
    height, width = (max(1, round(side * scale)) for side in film.shape)
    return np.asarray(cv2.resize(film, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
