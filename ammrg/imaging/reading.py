"""Film files read as 8-bit grey.

Formats: PNG (8, 16 bit), JPEG (grey, RGB, CMYK), JPEG 2000, TIFF, BMP and DICOM. Palettes, transparency and EXIF
orientation are handled.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageOps

from ammrg.errors import ReadError
from ammrg.imaging.attributes import whole
from ammrg.imaging.colour import SIDE, check_grey
from ammrg.imaging.dicom import parse_dicom, read_dicom
from ammrg.imaging.dicom_start import whole_file
from ammrg.imaging.headers import MAX_BYTES, check_side, open_image

FORMATS = ("PNG", "JPEG", "JPEG2000", "TIFF", "BMP")
"""PIL's names of the formats that are decoded. The content decides, never the file's suffix. Formats that run an
interpreter (EPS, PDF) are not allowed."""

DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""PIL modes with more than 8 bits per pixel."""

ORIENTATION, PHOTOMETRIC = 0x0112, 0x0106
"""Tags of EXIF and TIFF."""


def read_film(
    source: Path | str | bytes,
    *,
    max_side: int | None = None,
    at_least: int | None = None,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """Decode one film to 8-bit grey, upright, with its aspect ratio kept, never enlarged.

    Deeper images are scaled to 8 bits: the smallest value in use becomes 0, the largest 255. The little colour that a
    film may have (:mod:`ammrg.imaging.colour`) becomes luma (ITU-R 601); transparent pixels become black.

    Args:
        source: a file, or its encoded bytes.
        max_side: the longer side of the result is at most this many pixels.
        at_least: a large JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as its shorter side keeps this many
            pixels; this saves most of the decoding time. Other formats ignore it.
        name: of the film in messages; default: its path, or the number of its bytes.

    Returns:
        uint8 ``[h w]``, contiguous.

    Raises:
        ReadError: the file is missing, truncated, not an image, in colour, not a chest radiograph (DICOM), or beyond
            the limits in :mod:`ammrg.imaging.headers`; the message names file and reason.
    """
    if name is None:
        name = f"{len(source)} bytes" if isinstance(source, bytes) else str(source)
    with in_one_sentence(name):
        data = source if isinstance(source, bytes) else contents(Path(source), name)
        if (dicom := dicom_in(data, name)) is not None:
            film = read_dicom(dicom, name)
        else:
            film = decode(data, name, at_least if at_least is not None else max_side)
    return film if max_side is None else resized(film, max_side / max(film.shape))


def read_header(data: bytes, name: str) -> Any:
    """Check what the header of a film says; its pixels are not decoded.

    Args:
        data: a whole file.
        name: of the film, at the start of every message.

    Returns:
        A pydicom ``FileDataset`` for a DICOM file, None for a picture.

    Raises:
        ReadError: the header says that the file is no film, or none that :func:`read_film` reads, or that it is too
            small to be described.
    """
    with in_one_sentence(name):
        if (dicom := dicom_in(data, name)) is not None:
            tags = parse_dicom(dicom, name)
            check_side(whole(tags, "Columns", 0), whole(tags, "Rows", 0), name)
            return tags
        with open_image(data, name, FORMATS) as image:
            check_side(*image.size, name)
        return None


def dicom_in(data: bytes, name: str) -> bytes | None:
    """Return a DICOM file with its preamble; None for another file.

    Raises:
        ReadError: there are no bytes.
    """
    if not data:
        raise ReadError(f"{name}: the file is empty")
    return whole_file(data)


@contextmanager
def in_one_sentence(name: str) -> Iterator[None]:
    """Turn any exception of a decoder into a :class:`ReadError`, and silence its warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoders warn of sizes, EXIF, palettes and tags; we raise or say nothing
            yield
    except ReadError:
        raise
    except Exception as error:  # on a broken file, decoders may raise any exception
        reason = textwrap.shorten(str(error) or type(error).__name__, 300)
        raise ReadError(f"{name}: cannot be decoded: {reason}") from error


def contents(path: Path, name: str) -> bytes:
    """Read the bytes of a file.

    Raises:
        ReadError: the file is missing, is a folder, a pipe or a device, has more than :data:`MAX_BYTES`, or may not be
            read.
    """
    if not path.exists():
        raise ReadError(f"{name}: no such file")
    if not path.is_file():
        raise ReadError(f"{name}: not a file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ReadError(f"{name}: {size:,} bytes, more than the {MAX_BYTES:,} a film may have")
    try:
        return path.read_bytes()
    except OSError as error:
        raise ReadError(f"{name}: cannot be read ({error.strerror}); is this user allowed to read it?") from error


def decode(data: bytes, name: str, at_least: int | None) -> NDArray[np.uint8]:
    """Decode an image file to 8-bit grey ``[h w]``; any exception of its decoder is passed on."""
    with open_image(data, name, FORMATS) as image:
        if image.format == "JPEG":
            if image.mode == "RGB":
                with open_image(data, name, FORMATS) as coloured:
                    coloured.draft("RGB", (SIDE, SIDE))
                    check_grey(coloured, name)
            # The decoder gives luma alone where the file is in colour, and a smaller image where that is enough.
            image.draft("L", None if at_least is None else (at_least, at_least))
        deep_colour = image.mode not in DEEP_MODES and ";16" in str(image.tile[:1])
        white_is_zero = image.format == "TIFF" and image.getexif().get(PHOTOMETRIC) == 0
        image.load()
        if image.mode not in DEEP_MODES:  # of 16 bits per channel, PIL keeps the high 8
            check_grey(image, name)
        upright = deep_luma(data, image) if deep_colour else image
        turn_upright(upright)
        if upright.mode in DEEP_MODES:
            film = window(np.asarray(upright))
            return 255 - film if white_is_zero else film  # PIL inverts such a TIFF with 8 bits, but not with 16
        return np.array(to_grey(upright), dtype=np.uint8)


def turn_upright(image: Image.Image) -> None:
    """Turn an image upright in place, by its orientation tag; tags that cannot be read are ignored."""
    with suppress(Exception):  # broken tags raise many types of exception
        ImageOps.exif_transpose(image, in_place=True)


def to_grey(image: Image.Image) -> Image.Image:
    """Convert an image of any 8-bit mode to 8-bit luma; transparent pixels become black."""
    if image.mode == "L":  # a grey PNG may call one level transparent (tRNS): in a film it is a level like the others
        return image
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        return ImageChops.multiply(coloured.convert("L"), coloured.getchannel("A"))
    return image.convert("L") if image.mode in ("1", "RGB", "YCbCr") else image.convert("RGB").convert("L")


def deep_luma(data: bytes, image: Image.Image) -> Image.Image:
    """Convert a colour image with 16 bits per channel to luma; transparent pixels become black.

    OpenCV decodes it, because PIL keeps only 8 bits per channel.

    Args:
        data: the bytes of its file.
        image: the same image in PIL, loaded (so the file is whole) and not yet turned.

    Raises:
        ValueError: OpenCV cannot decode it.
    """
    deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if deep is None or deep.ndim != 3 or deep.dtype != np.uint16:
        raise ValueError("colour with 16 bits per channel, which OpenCV cannot decode")
    luma = cv2.cvtColor(deep[..., :3], cv2.COLOR_BGR2GRAY)
    if deep.shape[2] == 4:
        luma = cv2.multiply(luma, deep[..., 3], scale=1 / 65535)
    grey = Image.fromarray(luma)
    grey.getexif()[ORIENTATION] = image.getexif().get(ORIENTATION, 1)
    return grey


def window(deep: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale deep pixels ``[h w]`` to 8 bits by their smallest and largest value; a constant film becomes black.

    Raises:
        ValueError: a pixel is NaN or infinite.
    """
    low, high = float(deep.min()), float(deep.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("holds values that are not finite")
    if high == low:
        return np.zeros(deep.shape, np.uint8)
    # OpenCV scales and rounds in one pass, but in single precision: so the offset is subtracted first, exactly.
    above = deep.astype(np.uint16) - np.uint16(low) if deep.dtype.itemsize == 2 else deep.astype(np.float64) - low
    return np.asarray(cv2.convertScaleAbs(above, alpha=255 / (high - low)), dtype=np.uint8)


def shrink(film: NDArray[np.uint8], short_side: int) -> NDArray[np.uint8]:
    """Shrink a film ``[h w]`` to a shorter side of at most ``short_side`` pixels, aspect ratio kept."""
    return resized(film, short_side / min(film.shape))


def resized(film: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Scale a film ``[h w]`` down by averaging over pixel areas; a scale of 1 or more returns it unchanged."""
    if scale >= 1:
        return film
    height, width = (max(1, round(side * scale)) for side in film.shape)
    return np.asarray(cv2.resize(film, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
