"""What a header may claim: checked before a pixel is decoded, so that no small file asks for gigabytes or minutes."""

from __future__ import annotations

import io
import struct

from PIL import Image, ImageFile, UnidentifiedImageError

from ammrg.errors import ReadError

MAX_BYTES = 256 * 2**20
"""Of one file. An uncompressed 16-bit film of :data:`MAX_PIXELS` has half of it."""

MAX_PIXELS = 64_000_000
"""A film has at most some 20 million pixels; a header that claims more than this is refused."""

MAX_SCANS = 32
"""Of a progressive JPEG. It has about ten; each is a few bytes for the sender and a pass over all pixels here."""

MAX_TILES = 1024
"""Of a JPEG 2000. Its decoder sets up some 9 KB for each before it looks for pixels."""

SIZ = b"\xff\x4f\xff\x51"
"""Start of a JPEG 2000 codestream: SOC and SIZ (ISO/IEC 15444-1, A.4.1 and A.5.1)."""


def open_image(data: bytes, name: str, formats: tuple[str, ...]) -> ImageFile.ImageFile:
    """Read the header of an image and check what it claims; nothing is decoded yet.

    Args:
        data: a whole file, or a codestream.
        name: opens every message.
        formats: PIL's names of those that are allowed.

    Raises:
        ReadError: none of these formats, or beyond the limits.
    """
    check_tiles(data, name)
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:  # its own words hold an address, and so differ from run to run
        raise ReadError(f"{name}: cannot be decoded: no whole header of {', '.join(formats)}") from None
    check_pixels(*image.size, name)
    if "progressive" in image.info:
        check_scans(data, name)
    return image


def check_scans(data: bytes, name: str) -> None:
    """Refuse a JPEG of very many scans.

    Raises:
        ReadError: more than :data:`MAX_SCANS`.
    """
    scans = data.count(b"\xff\xda")  # in compressed data 00 follows each ff: this is always the marker
    if scans > MAX_SCANS:
        raise ReadError(f"{name}: a JPEG of {scans} scans, more than the {MAX_SCANS} a film may have")


def check_pixels(width: int, height: int, name: str) -> None:
    """Refuse a film that is too large.

    Raises:
        ReadError: more than :data:`MAX_PIXELS`.
    """
    if width * height > MAX_PIXELS:
        raise ReadError(f"{name}: {width} x {height} pixels, more than the {MAX_PIXELS:,} a film may have")


def check_tiles(data: bytes, name: str) -> None:
    """Refuse a JPEG 2000 of very many tiles; other formats pass.

    Raises:
        ReadError: more than :data:`MAX_TILES`.
    """
    at = data.find(SIZ) + len(SIZ) if data.startswith((SIZ, b"\0\0\0\x0cjP  ")) else 0
    if at < len(SIZ) or len(data) < at + 36:
        return
    right, lower, _, _, width, height, left, top = struct.unpack_from(">8I", data, at + 4)
    if width and height:
        tiles = -(-(right - left) // width) * -(-(lower - top) // height)
        if tiles > MAX_TILES:
            raise ReadError(f"{name}: a JPEG 2000 of {tiles} tiles, more than the {MAX_TILES} a film may have")
