"""Zip archives, which Excel workbooks are too, told by their first bytes."""

from __future__ import annotations

from pathlib import Path

STARTS = (b"PK\x03\x04", b"PK\x05\x06")
"""Of an archive with and without members (APPNOTE.TXT, 4.3.7 and 4.3.16)."""


def is_zip(path: Path) -> bool:
    """Tell whether a file is a zip archive.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return file.read(4) in STARTS
