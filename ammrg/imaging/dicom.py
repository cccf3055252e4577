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
from ammrg.imaging.headers import check_pixels, open_image

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
PILLOW_SYNTAXES = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 90, 91))
"""JPEG baseline and extended, JPEG 2000 lossless and lossy: pydicom hands them to PIL."""

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
    stored: NDArray[Any] = tags.pixel_array
    if stored.ndim != 2:
        raise ReadError(f"{name}: pixels of shape {stored.shape}; expected one film [h w]")
    # Whatever the tags do, they do to a level and not to a place: at most 65,536 levels are mapped, then looked up.
    low, high = int(stored.min()), int(stored.max())
    places = np.subtract(stored, low, dtype=np.int32)
    levels = np.arange(low, high + 1)
    used = np.bincount(places.ravel(), minlength=len(levels)) > 0
    padding = padded(levels, tags)
    grey = np.asarray(np.rint(displayed(levels, tags, used & ~padding) * 255), dtype=np.uint8)
    if tags.PhotometricInterpretation == "MONOCHROME1":
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
    if int(tags.get("NumberOfFrames") or 1) > 1:
        raise ReadError(f"{name}: holds {tags.NumberOfFrames} frames; a film has one")
    kind = text(tags.get("PhotometricInterpretation")) or "none"
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise ReadError(f"{name}: PhotometricInterpretation is {kind}; expected MONOCHROME1 or MONOCHROME2")
    rows, columns = int(tags.get("Rows") or 0), int(tags.get("Columns") or 0)
    if rows * columns == 0 or "PixelData" not in tags:
        raise ReadError(f"{name}: a DICOM file without pixels")
    check_pixels(columns, rows, name)
    if tags.BitsAllocated not in (8, 16):
        raise ReadError(f"{name}: BitsAllocated is {tags.BitsAllocated}; a film has 8 or 16")


def check_stored(tags: Any, name: str) -> None:
    """Refuse compressed pixels that nothing decodes, or that would become another film than the tags say.

    Raises:
        ReadError: says how the pixels are stored.
    """
    syntax = tags.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return
    decoder = importlib.import_module("pydicom.pixels").get_decoder(syntax)
    if not decoder.is_available:
        gdcm = any("gdcm" in line for line in decoder.missing_dependencies)
        how = "pip install python-gdcm" if gdcm else "store it uncompressed"
        raise ReadError(f"{name}: no decoder is installed for {syntax.name}: {how}")
    if syntax in PILLOW_SYNTAXES:
        frame = importlib.import_module("pydicom.encaps").get_frame(tags.PixelData, 0, number_of_frames=1)
        with open_image(frame, name, ("JPEG", "JPEG2000")) as image:
            if image.size != (tags.Columns, tags.Rows):
                found = "{} x {}".format(*image.size)
                raise ReadError(f"{name}: Columns x Rows are {tags.Columns} x {tags.Rows}, its pixels {found}")


def padded(levels: NDArray[Any], tags: Any) -> NDArray[np.bool_]:
    """Which stored levels are filling, not film (PixelPaddingValue, up to PixelPaddingRangeLimit)."""
    value = tags.get("PixelPaddingValue")
    if value is None:
        return np.zeros(levels.shape, np.bool_)
    limit = tags.get("PixelPaddingRangeLimit", value)
    low, high = sorted((int(value), int(limit)))
    return np.asarray((levels >= low) & (levels <= high), dtype=np.bool_)


def displayed(levels: NDArray[Any], tags: Any, used: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Stored levels ``[n]`` to display values in [0, 1]: the first lookup table or window of the file; without either
    8-bit levels as they are, deeper ones by the range of those that the film uses."""
    pixels: Any = importlib.import_module("pydicom.pixels")
    values = np.asarray(pixels.apply_modality_lut(levels, tags), dtype=np.float64)
    if "VOILUTSequence" in tags:
        # The table's indices are integers; its third descriptor says how many bits its entries have.
        top = 2.0 ** int(tags.VOILUTSequence[0].LUTDescriptor[2]) - 1
        return np.asarray(pixels.apply_voi(values.astype(np.int32), tags) / top).clip(0, 1)
    if tags.get("WindowCenter") is not None and tags.get("WindowWidth") is not None:
        return windowed(
            values, first(tags.WindowCenter), first(tags.WindowWidth), str(tags.get("VOILUTFunction") or "")
        )
    if int(tags.BitsStored) <= 8 and not tags.get("PixelRepresentation") and np.array_equal(values, levels):
        return np.asarray(values / (2.0 ** int(tags.BitsStored) - 1)).clip(0, 1)
    film = values[used]
    low, high = (float(film.min()), float(film.max())) if film.size else (0.0, 0.0)
    return ((values - low) / (high - low)).clip(0, 1) if high > low else np.zeros(values.shape)


def windowed(values: NDArray[np.float64], center: float, width: float, function: str) -> NDArray[np.float64]:
    """A window of the VOI functions LINEAR (the default), LINEAR_EXACT and SIGMOID (PS3.3 C.11.2.1), to [0, 1].

    Raises:
        ValueError: a width that the function does not allow.
    """
    if width < (1 if function in ("", "LINEAR") else 1e-9):
        raise ValueError(f"WindowWidth is {width:g}")
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp((-4 * (values - center) / width).clip(-700, 700))))
    if function == "LINEAR_EXACT":
        return ((values - center) / width + 0.5).clip(0, 1)
    return ((values - (center - 0.5)) / max(width - 1, 1e-9) + 0.5).clip(0, 1)


def first(value: Any) -> float:
    """The first of one or several values of a tag."""
    return float(value if isinstance(value, str | float | int) else value[0])


def text(value: Any) -> str:
    """A tag's value for a message, of whatever a broken file put there: printable, and not long."""
    return "".join(letter for letter in str(value or "") if letter.isprintable())[:40]
