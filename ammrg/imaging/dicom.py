"""DICOM radiographs to 8-bit grey, as a viewer shows them: rescale, window or lookup table, polarity.

The tags decide (PS3.3 C.7.6.3, C.11.1, C.11.2); nothing is guessed from the pixels.
"""

from __future__ import annotations

import importlib
import io
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ReadError
from ammrg.imaging.attributes import named, text, value_of, whole
from ammrg.imaging.display import displayed
from ammrg.imaging.headers import check_pixels
from ammrg.imaging.stored import check_stored, layout_of, padded, stored_words

MODALITIES = ("CR", "DX", "DR", "RG")
"""Projection radiography, digital or scanned. A file that names no modality is taken as one of these."""

ELSEWHERE = re.compile(
    "(?<![A-Z])(ABDOMEN|ABDOMENPELVIS|ANKLE|ARM|BREAST|CALCANEUS|COCCYX|CSPINE|ELBOW|EXTREMITY|FACE|FEMUR|FIBULA|FINGER|"
    "FOOT|FOREARM|HAND|HEAD|HIP|HUMERUS|JAW|KNEE|LEG|LSPINE|LSSPINE|MANDIBLE|MAXILLA|ORBIT|PATELLA|PELVIS|SKULL|SSPINE|"
    "THIGH|THUMB|TIBIA|TOE|WRIST|ZYGOMA)S?(?![A-Z])"
)
"""BodyPartExamined (PS3.16 annex L) of films that show no chest. The tag is often empty, free text or a neighbour of
the chest (RIB, SHOULDER, TSPINE): only a word from here refuses a film, and none does beside :data:`CHEST`."""
CHEST = re.compile("CHEST|THORA|LUNG")

DEFLATED = "1.2.840.10008.1.2.1.99"

MAX_READS = 50_000
"""Calls to ``read`` while a file is parsed: some thousand in a film, an unbounded number in a broken or hostile one."""


class CountedReads(io.BytesIO):
    """Bytes as a file that cannot be read for ever."""

    reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Next bytes.

        Raises:
            ValueError: after :data:`MAX_READS` calls.
        """
        self.reads += 1
        if self.reads > MAX_READS:
            raise ValueError(f"its elements do not end ({MAX_READS:,} reads)")
        return super().read(size)


def read_dicom(data: bytes, name: str) -> NDArray[np.uint8]:
    """Decode one chest radiograph (uncompressed, JPEG, JPEG 2000, RLE; others where a decoder is installed).

    Args:
        data: a whole DICOM file.
        name: opens every message.

    Returns:
        uint8 ``[h w]``; MONOCHROME1 is inverted, so that bone is bright.

    Raises:
        ReadError: the file is of another modality or body part, in colour, of several frames, beyond the limits in
            :mod:`ammrg.imaging.headers`, stored in a way that nothing installed decodes, or without pixels.
    """
    try:
        pydicom: Any = importlib.import_module("pydicom")
    except ImportError:
        raise ReadError(f"{name}: a DICOM file, which needs pydicom: pip install pydicom") from None
    file = CountedReads(data)
    file.seek(132)
    meta = pydicom.filereader.read_dataset(file, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
    if meta.get("TransferSyntaxUID") == DEFLATED:
        # pydicom would inflate and parse whatever is in it, without a limit; films are not stored so.
        raise ReadError(f"{name}: a deflated DICOM file; store it uncompressed, for instance with dcmconv +te")
    file.seek(0)
    tags = pydicom.dcmread(file)
    check_kind(tags, name)
    check_stored(tags, name)
    layout = layout_of(tags)
    stored = stored_words(tags, layout)
    if stored.ndim != 2:
        raise ReadError(f"{name}: pixels of shape {stored.shape}; expected one film [h w]")
    # Whatever the tags do, they do to a level and not to a place: at most 65,536 levels are mapped, then looked up.
    low, high = int(stored.min()), int(stored.max())
    words = np.arange(low, high + 1)
    places = np.subtract(stored, low)
    levels = layout.values(words)
    padding = padded(words, layout, tags)
    used = (np.bincount(places.ravel(), minlength=len(words)) > 0) & ~padding
    if not used.any():
        raise ReadError(f"{name}: {named(tags, 'PixelPaddingValue')}, and every pixel is such padding")
    shown = displayed(levels, tags, used, stored=(layout.lowest, layout.highest), bits=layout.stored)
    grey = np.asarray(np.rint(shown * 255), dtype=np.uint8)
    if text(tags.PhotometricInterpretation) == "MONOCHROME1":
        grey = 255 - grey
    grey[padding] = 0
    return np.asarray(grey[places])


def check_kind(tags: Any, name: str) -> None:
    """Refuse what is no single grey radiograph of a chest.

    Raises:
        ReadError: says which tag holds what.
    """
    modality = text(tags.get("Modality"))
    if modality and modality not in MODALITIES:
        raise ReadError(f"{name}: Modality is {modality}; only radiographs ({', '.join(MODALITIES)}) are read")
    part = text(tags.get("BodyPartExamined")).upper()
    if ELSEWHERE.search(part) and not CHEST.search(part):
        raise ReadError(f"{name}: BodyPartExamined is {part}; only films of the chest are read")
    if not value_of(tags, "PixelData"):
        raise ReadError(f"{name}: a DICOM file without pixels")
    if (frames := whole(tags, "NumberOfFrames", 1)) > 1:
        raise ReadError(f"{name}: holds {frames} frames; a film has one")
    kind = text(tags.get("PhotometricInterpretation")) or "none"
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise ReadError(f"{name}: PhotometricInterpretation is {kind}; expected MONOCHROME1 or MONOCHROME2")
    rows, columns = whole(tags, "Rows", 0), whole(tags, "Columns", 0)
    if rows * columns == 0:
        raise ReadError(f"{name}: a DICOM file without pixels")
    check_pixels(columns, rows, name)
