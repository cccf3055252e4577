"""Limits on what an image header may claim.

They are checked before any pixel is decoded, so that a small hostile file cannot take gigabytes or minutes.
"""

from __future__ import annotations

import io
import struct

from PIL import Image, ImageFile, UnidentifiedImageError

from ammrg.errors import ReadError

MAX_BYTES = 256 * 2**20
"""Largest file in bytes. An uncompressed 16-bit film of :data:`MAX_PIXELS` has half as many."""

MAX_PIXELS = 64_000_000
"""Most pixels of a film. Real films have at most about 20 million."""

MIN_SIDE = 32
"""Fewest pixels of the shorter side of a film that is described. On a chest film of 43 cm, a pixel would be more than
13 mm wide, and most signs smaller: what has fewer pixels is an icon or a blank."""

MAX_SCANS = 32
"""Most scans of a progressive JPEG, which usually has about ten. A scan can be a few bytes in the file, but costs the
decoder a pass over all pixels."""

MAX_TILES = 1024
"""Most tiles of a JPEG 2000. The decoder allocates about 9 KB for each before it reads any pixel."""

SIZ = b"\xff\x4f\xff\x51"
"""Start of a JPEG 2000 codestream: SOC and SIZ (ISO/IEC 15444-1, A.4.1 and A.5.1)."""


def open_image(data: bytes, name: str, formats: tuple[str, ...]) -> ImageFile.ImageFile:
    """Read the header of an image and check what it claims; nothing is decoded yet.

    Args:
        data: a whole file, or a codestream.
        name: of the film, at the start of every message.
        formats: PIL's names of the formats allowed.

    Raises:
        ReadError: another format, or beyond a limit of this module.
    """
    check_tiles(data, name)
    try:
        image = Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:  # PIL's own message holds a memory address, which differs from run to run
        kinds = f"{', '.join(formats)} or DICOM file"
        raise ReadError(f"{name}: cannot be decoded: whatever its name says, its content is no whole {kinds}") from None
    except Image.DecompressionBombError:  # PIL's own limit, which is higher, comes first
        raise ReadError(f"{name}: more than the {MAX_PIXELS:,} pixels a film may have") from None
    check_pixels(*image.size, name)
    if "progressive" in image.info:
        check_scans(data, name)
    return image


def check_scans(data: bytes, name: str) -> None:
    """Refuse a JPEG with too many scans.

    Raises:
        ReadError: more than :data:`MAX_SCANS`.
    """
    scans = data.count(b"\xff\xda")  # inside compressed data, ff is always followed by 00: this is always the marker
    if scans > MAX_SCANS:
        raise ReadError(f"{name}: a JPEG of {scans} scans, more than the {MAX_SCANS} a film may have")


def check_pixels(width: int, height: int, name: str) -> None:
    """Refuse a film that is too large.

    Raises:
        ReadError: more than :data:`MAX_PIXELS`.
    """
    if width * height > MAX_PIXELS:
        raise ReadError(f"{name}: {width} x {height} pixels, more than the {MAX_PIXELS:,} a film may have")


def check_side(width: int, height: int, name: str) -> None:
    """Refuse a film that is too small to be described.

    Raises:
        ReadError: a side has fewer than :data:`MIN_SIDE` pixels.
    """
    if min(width, height) < MIN_SIDE:
        raise ReadError(f"{name}: {width} x {height} pixels; a film has at least {MIN_SIDE} a side")


def check_tiles(data: bytes, name: str) -> None:
    """Refuse a JPEG 2000 with too many tiles; other formats pass.

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
