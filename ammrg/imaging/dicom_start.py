"""The start of a DICOM file: completes files without the preamble of 128 bytes or the prefix DICM (PS3.10, 7.1)."""

from __future__ import annotations

import re
import struct

PREAMBLE = b"\0" * 128 + b"DICM"

_EXPLICIT = re.compile(b"(AE|AS|CS|DA|DT|IS|LO|LT|OB|OW|PN|SH|SQ|ST|TM|UI|UL|UN|US|UT)")


def whole_file(data: bytes) -> bytes | None:
    """Return a DICOM file with its preamble and prefix, added where they are missing; None: not a DICOM file."""
    if data[128:132] == b"DICM":
        return data
    if data.startswith(b"DICM"):
        return PREAMBLE[:128] + data
    return next((PREAMBLE + data[start:] for start in (0, 128) if _is_element(data[start : start + 512])), None)


def _is_element(data: bytes) -> bool:
    """Tell whether bytes are an element of group 2 or 8: every data set starts with one.

    An element with an explicit representation is known by its two letters. One with an implicit representation has a
    length there instead: the length must be short, and an element of a group from 8 to 0x20 must follow.
    """
    if len(data) < 16:
        return False
    for order in "<>":
        group, element = struct.unpack_from(f"{order}HH", data)
        if group in (2, 8) and element <= 0x0100 and _EXPLICIT.match(data, 4):
            return True
    group, element, length = struct.unpack_from("<HHI", data)
    if group != 8 or element > 0x0100 or length % 2 or 8 + length + 4 > len(data):
        return False
    following, place = struct.unpack_from("<HH", data, 8 + length)
    return (following, place) > (group, element) and following <= 0x0020
