"""Any film file to 8-bit grey: PNG (8, 16 bit), JPEG (grey, RGB, CMYK), JPEG 2000, TIFF, BMP, DICOM; palette, alpha,
EXIF too."""

from __future__ import annotations

import textwrap
import warnings
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageOps

from ammrg.errors import ReadError
from ammrg.imaging.colour import SIDE, check_grey
from ammrg.imaging.dicom import read_dicom
from ammrg.imaging.dicom_start import whole_file
from ammrg.imaging.headers import MAX_BYTES, open_image

FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP")
"""What is decoded; the content decides, never the suffix. Formats with interpreters behind them (EPS, PDF) are out."""

DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""PIL modes with more than 8 bits a pixel."""

ORIENTATION, PHOTOMETRIC = 0x0112, 0x0106
"""Tags of EXIF and TIFF."""


def read_film(
    source: Path | str | bytes, *, max_side: int | None = None, at_least: int | None = None
) -> NDArray[np.uint8]:
    """Decode one film to 8-bit grey, upright, aspect kept, never enlarged.

    More than 8 bits are windowed: the least used value becomes 0, the greatest 255. What little colour a film may have
    (:mod:`ammrg.imaging.colour`) becomes luma (ITU-R 601), transparency black.

    Args:
        source: a file, or its encoded bytes.
        max_side: the longer side of the result is at most this many pixels.
        at_least: a large JPEG may be decoded at 1/2, 1/4 or 1/8 scale as long as its shorter side stays at least
            this long; saves most of the decoding time. Other formats ignore it.

    Returns:
        uint8 ``[h w]``, contiguous.

    Raises:
        ReadError: no such file, not an image, truncated, in colour, no chest radiograph (DICOM), or beyond the limits
            in :mod:`ammrg.imaging.headers`; names file and reason.
    """
    name = f"{len(source)} bytes" if isinstance(source, bytes) else str(source)
    try:
        data = source if isinstance(source, bytes) else contents(Path(source), name)
        if not data:
            raise ReadError(f"{name}: the file is empty")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, EXIF, palettes, odd tags: ours are errors or nothing
            if (dicom := whole_file(data)) is not None:
                film = read_dicom(dicom, name)
            else:
                film = decode(data, name, at_least if at_least is not None else max_side)
    except ReadError:
        raise
    except Exception as error:  # decoders raise whatever a broken file makes them stumble over
        reason = textwrap.shorten(str(error) or type(error).__name__, 300)
        raise ReadError(f"{name}: cannot be decoded: {reason}") from error
    return film if max_side is None else resized(film, max_side / max(film.shape))


def contents(path: Path, name: str) -> bytes:
    """The bytes of a file.

    Raises:
        ReadError: no such file, a folder, a pipe or a device, or more than :data:`MAX_BYTES`.
    """
    if not path.exists():
        raise ReadError(f"{name}: no such file")
    if not path.is_file():
        raise ReadError(f"{name}: not a file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ReadError(f"{name}: {size:,} bytes, more than the {MAX_BYTES:,} a film may have")
    return path.read_bytes()


def decode(data: bytes, name: str, at_least: int | None) -> NDArray[np.uint8]:
    """Pixels of an image file as 8-bit grey ``[h w]``; raises whatever its decoder raises."""
    with open_image(data, name, FORMATS) as image:
        if image.format == "JPEG":
            if image.mode == "RGB":
                with open_image(data, name, FORMATS) as coloured:
                    coloured.draft("RGB", (SIDE, SIDE))
                    check_grey(coloured, name)
            # Luma without chroma where the file is in colour, and a fraction of the pixels where that is enough.
            image.draft("L", None if at_least is None else (at_least, at_least))
        deep_colour = image.mode not in DEEP_MODES and ";16" in str(image.tile[:1])
        white_is_zero = image.format == "TIFF" and image.getexif().get(PHOTOMETRIC) == 0
        image.load()
        if image.mode not in DEEP_MODES:  # of 16 bits a channel the high ones
            check_grey(image, name)
        upright = deep_luma(data, image) if deep_colour else image
        turn_upright(upright)
        if upright.mode in DEEP_MODES:
            film = window(np.asarray(upright))
            return 255 - film if white_is_zero else film  # PIL inverts such a TIFF of 8 bits, but none of 16
        return np.array(to_grey(upright), dtype=np.uint8)


def turn_upright(image: Image.Image) -> None:
    """Undo, in place, what the orientation tag says; a table of tags that cannot be read says nothing."""
    with suppress(Exception):  # as many kinds as there are ways to break one
        ImageOps.exif_transpose(image, in_place=True)


def to_grey(image: Image.Image) -> Image.Image:
    """8-bit luma of an image of any 8-bit mode; transparent pixels become black."""
    if image.mode == "L":  # a level that a grey PNG calls transparent (tRNS) is one of the film's like any other
        return image
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        return ImageChops.multiply(coloured.convert("L"), coloured.getchannel("A"))
    return image.convert("L") if image.mode in ("1", "RGB", "YCbCr") else image.convert("RGB").convert("L")


def deep_luma(data: bytes, image: Image.Image) -> Image.Image:
    """Luma of a colour image of 16 bits a channel, of which PIL keeps eight; transparent pixels become black.

    Args:
        data: its file.
        image: the same, loaded (so it is whole) and not yet turned.
    """
    deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if deep is None or deep.ndim != 3 or deep.dtype != np.uint16:
        raise ValueError("colour of 16 bits a channel, which OpenCV cannot decode")
    luma = cv2.cvtColor(deep[..., :3], cv2.COLOR_BGR2GRAY)
    if deep.shape[2] == 4:
        luma = cv2.multiply(luma, deep[..., 3], scale=1 / 65535)
    grey = Image.fromarray(luma)
    grey.getexif()[ORIENTATION] = image.getexif().get(ORIENTATION, 1)
    return grey


def window(deep: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Deep pixels ``[h w]`` to 8 bits by their own least and greatest value; a constant film becomes black."""
    low, high = float(deep.min()), float(deep.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("holds values that are not finite")
    if high == low:
        return np.zeros(deep.shape, np.uint8)
    # OpenCV scales and rounds in one pass, but in single precision: the offset goes first, and exactly.
    above = deep.astype(np.uint16) - np.uint16(low) if deep.dtype.itemsize == 2 else deep.astype(np.float64) - low
    return np.asarray(cv2.convertScaleAbs(above, alpha=255 / (high - low)), dtype=np.uint8)


def shrink(film: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """``[h w]`` with its shorter side at most ``short_side`` pixels, aspect kept, never enlarged."""
    return resized(film, short_side / min(film.shape))


def resized(film: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """``[h w]`` times a scale, by pixel area; a scale of 1 or more gives the film back as it is."""
    if scale >= 1:
        return film
    height, width = (max(1, round(side * scale)) for side in film.shape)
    return np.asarray(cv2.resize(film, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
