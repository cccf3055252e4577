"""DICOM radiographs as 8-bit grey films, as a viewer shows them: rescaled, windowed or looked up, with bright bone.

The tags decide (PS3.3 C.7.6.3, C.11.1, C.11.2); nothing is guessed from the pixels.
"""

from __future__ import annotations

import importlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ReadError
from ammrg.imaging.attributes import named, text, value_of, whole
from ammrg.imaging.body_part import elsewhere
from ammrg.imaging.display import displayed
from ammrg.imaging.headers import check_pixels
from ammrg.imaging.stored import check_stored, layout_of, padded, stored_words

MODALITIES = ("CR", "DX", "DR", "RG")
"""Projection radiography, digital or scanned. A file without a modality is read too."""

DEFLATED = "1.2.840.10008.1.2.1.99"

MAX_READS = 50_000
"""Most calls to ``read`` while a file is parsed. A film takes a few thousand; a broken or hostile file, any number."""


class CountedReads(io.BytesIO):
    """Bytes as a file that allows a limited number of reads."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read the next bytes.

        Raises:
            ValueError: it was called more than :data:`MAX_READS` times.
        """
        self.reads += 1
        if self.reads > MAX_READS:
            raise ValueError(f"its elements do not end ({MAX_READS:,} reads)")
        return super().read(size)


def parse_dicom(data: bytes, name: str) -> Any:
    """Parse a DICOM file that holds a chest radiograph; its pixels are not decoded.

    Args:
        data: a whole DICOM file.
        name: of the film, at the start of every message.

    Returns:
        A pydicom ``FileDataset``.

    Raises:
        ReadError: pydicom is not installed, the file is deflated, or it is of another kind (:func:`check_kind`).
    """
    try:
        pydicom: Any = importlib.import_module("pydicom")
    except ImportError:
        raise ReadError(f"{name}: a DICOM file, which needs pydicom: pip install pydicom") from None
    file = CountedReads(data)
    file.seek(132)
    meta = pydicom.filereader.read_dataset(file, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
    if meta.get("TransferSyntaxUID") == DEFLATED:
        # pydicom would inflate and parse any amount of data, without a limit; films are not stored this way.
        raise ReadError(f"{name}: a deflated DICOM file; store it uncompressed, for instance with dcmconv +te")
    file.seek(0)
    tags = pydicom.dcmread(file)
    check_kind(tags, name)
    return tags


def read_dicom(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode one chest radiograph (uncompressed, JPEG, JPEG 2000, RLE; other syntaxes where a decoder is installed).

    Args:
        data: a whole DICOM file.
        name: of the film, at the start of every message.

    Returns:
        uint8 ``[h w]``; MONOCHROME1 is inverted, so that bone is bright.

    Raises:
        ReadError: the file is of another modality or body part, in colour, of several frames, beyond the limits in
            :mod:`ammrg.imaging.headers`, stored in a way that nothing installed decodes, or without pixels.
    """
    tags = parse_dicom(data, name)
    check_stored(tags, name)
    layout = layout_of(tags)
    stored = stored_words(tags, layout)
    if stored.ndim != 2:
        raise ReadError(f"{name}: pixels of shape {stored.shape}; expected one film [h w]")
    # The tags act on values, not on places: at most 65,536 levels are converted, then each pixel looks its level up.
    low, high = int(stored.min()), int(stored.max())
    words = np.arange(low, high + 1)
    places = np.subtract(stored, low)
    levels = layout.values(words)
    padding = padded(words, layout, tags)
    used = (np.bincount(places.ravel(), minlength=len(words)) > 0) & ~padding
    if not used.any():
        raise ReadError(f"{name}: {named(tags, 'PixelPaddingValue')}, and every pixel has this value: no film is left")
    shown = displayed(levels, tags, used, stored=(layout.lowest, layout.highest), bits=layout.stored)
    grey = np.asarray(np.rint(shown * 255), dtype=np.uint8)
    if text(tags.PhotometricInterpretation) == "MONOCHROME1":
        grey = 255 - grey
    grey[padding] = 0
    return np.asarray(grey[places])


def check_kind(tags: Any, name: str) -> None:
    """Refuse a file that is not a single grey radiograph of a chest.

    Raises:
        ReadError: names the tag and its value.
    """
    modality = text(tags.get("Modality"))
    if modality and modality not in MODALITIES:
        raise ReadError(f"{name}: Modality is {modality}; only radiographs ({', '.join(MODALITIES)}) are read")
    if (found := elsewhere(tags)) is not None:
        raise ReadError(f"{name}: {found}; only films of the chest are read")
    if not value_of(tags, "PixelData"):
        # Of a file that ends amid its tags or its encapsulated pixels, pydicom gives the tags before, or none at all.
        cut = "" if "PixelData" in tags else ", or one that is cut off; leave it out, or copy it again"
        raise ReadError(f"{name}: a DICOM file without pixels{cut}")
    if (frames := whole(tags, "NumberOfFrames", 1)) > 1:
        raise ReadError(f"{name}: holds {frames} frames; a film has one")
    kind = text(tags.get("PhotometricInterpretation")) or "none"
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise ReadError(f"{name}: PhotometricInterpretation is {kind}; expected MONOCHROME1 or MONOCHROME2")
    rows, columns = whole(tags, "Rows", 0), whole(tags, "Columns", 0)
    if rows * columns == 0:
        raise ReadError(f"{name}: a DICOM file without pixels")
    check_pixels(columns, rows, name)
