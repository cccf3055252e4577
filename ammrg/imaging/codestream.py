"""Headers of compressed frames, read before a decoder sees them."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ammrg.imaging.headers import SIZ

_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
"""Markers SOFn of JPEG (ITU-T T.81, B.2.2) and SOF55 of JPEG-LS (T.87, C.2.2)."""


class Codestream(NamedTuple):
    """A frame's size in pixels and the bits of each sample."""

    columns: int
    rows: int
    bits: int


def read_codestream(frame: bytes) -> Codestream:
    """Read the header of a JPEG, JPEG-LS or JPEG 2000 codestream, also inside a JP2 file.

    Raises:
        ValueError: there is no complete header.
    """
    try:
        if frame.startswith(b"\xff\xd8"):
            return _jpeg(frame)
        at = frame.index(SIZ) + len(SIZ)
        right, lower, left, top = struct.unpack_from(">4I", frame, at + 4)
        return Codestream(right - left, lower - top, (frame[at + 38] & 0x7F) + 1)
    except (ValueError, IndexError, struct.error):
        raise ValueError("no whole header of JPEG, JPEG-LS or JPEG 2000 in its pixels") from None


def _jpeg(frame: bytes) -> Codestream:
    at = 2
    while True:
        at = frame.index(b"\xff", at)
        marker = frame[at + 1]
        if marker in _FRAMES:
            bits, rows, columns = struct.unpack_from(">BHH", frame, at + 4)
            return Codestream(columns, rows, bits)
        if marker == 0xDA:
            raise ValueError("a scan before its frame")
        # After a fill byte comes another marker; RSTn, TEM and SOI have no data; all others are followed by a length.
        alone = marker == 0xFF or marker in range(0xD0, 0xDA) or marker == 0x01
        at += (1 if marker == 0xFF else 2) if alone else 2 + struct.unpack_from(">H", frame, at + 2)[0]
