"""DICOM radiographs to 8-bit grey, as a viewer shows them: rescale, window or lookup table, polarity.

The tags decide (PS3.3 C.7.6.3, C.11.1, C.11.2); nothing is guessed from the pixels.
"""

from __future__ import annotations

import importlib
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ReadError

MODALITIES = ("CR", "DX", "DR", "RG")
"""Projection radiography, digital or scanned. A file that names no modality is taken as one of these."""


def read_dicom(file: BinaryIO, name: str, max_pixels: int) -> NDArray[np.uint8]:
    """Decode one radiograph (uncompressed, JPEG, JPEG 2000, RLE: whatever pydicom finds a decoder for).

    Args:
        file: an open DICOM file.
        name: opens every message.
        max_pixels: more rows x columns than this are refused before decoding.

    Returns:
        uint8 ``[h w]``; MONOCHROME1 is inverted, so that bone is bright.

    Raises:
        ReadError: pydicom is not installed, or the file is of another modality, in colour, of several frames, too
            large, or without pixels.
    """
    try:
        pydicom: Any = importlib.import_module("pydicom")
    except ImportError:
        raise ReadError(f"{name}: a DICOM file, which needs pydicom: pip install 'am-mrg[clinical]'") from None
    tags = pydicom.dcmread(file)
    check_kind(tags, name, max_pixels)
    stored: NDArray[Any] = tags.pixel_array
    if stored.ndim != 2:
        raise ReadError(f"{name}: pixels of shape {stored.shape}; expected one film [h w]")
    padding = padded(stored, tags)
    shown = displayed(stored, tags, padding)
    grey = np.asarray(np.rint(shown * 255), dtype=np.uint8)
    if tags.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    grey[padding] = 0
    return grey


def check_kind(tags: Any, name: str, max_pixels: int) -> None:
    """Refuse what is no single grey radiograph.

    Raises:
        ReadError: says which tag holds what.
    """
    modality = str(tags.get("Modality") or "")
    if modality and modality not in MODALITIES:
        raise ReadError(f"{name}: Modality is {modality}; only radiographs ({', '.join(MODALITIES)}) are read")
    if int(tags.get("NumberOfFrames") or 1) > 1:
        raise ReadError(f"{name}: holds {tags.NumberOfFrames} frames; a film has one")
    kind = str(tags.get("PhotometricInterpretation") or "none")
    if kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise ReadError(f"{name}: PhotometricInterpretation is {kind}; expected MONOCHROME1 or MONOCHROME2")
    rows, columns = int(tags.get("Rows") or 0), int(tags.get("Columns") or 0)
    if rows * columns == 0 or "PixelData" not in tags:
        raise ReadError(f"{name}: a DICOM file without pixels")
    if rows * columns > max_pixels:
        raise ReadError(f"{name}: {columns} x {rows} pixels, more than the {max_pixels:,} a film may have")


def padded(stored: NDArray[Any], tags: Any) -> NDArray[np.bool_]:
    """Which stored pixels are filling, not film (PixelPaddingValue, up to PixelPaddingRangeLimit)."""
    value = tags.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, np.bool_)
    limit = tags.get("PixelPaddingRangeLimit", value)
    low, high = sorted((int(value), int(limit)))
    return np.asarray((stored >= low) & (stored <= high), dtype=np.bool_)


def displayed(stored: NDArray[Any], tags: Any, padding: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Stored pixels ``[h w]`` to display values in [0, 1]: the first lookup table or window of the file; without
    either 8-bit pixels as they are, deeper ones by their own range (padding aside)."""
    pixels: Any = importlib.import_module("pydicom.pixels")
    values = np.asarray(pixels.apply_modality_lut(stored, tags), dtype=np.float64)
    if "VOILUTSequence" in tags:
        # The table's indices are integers; its third descriptor says how many bits its entries have.
        top = 2.0 ** int(tags.VOILUTSequence[0].LUTDescriptor[2]) - 1
        return np.asarray(pixels.apply_voi(values.astype(np.int32), tags) / top).clip(0, 1)
    if tags.get("WindowCenter") is not None and tags.get("WindowWidth") is not None:
        return windowed(
            values, first(tags.WindowCenter), first(tags.WindowWidth), str(tags.get("VOILUTFunction") or "")
        )
    if int(tags.BitsStored) <= 8 and not tags.get("PixelRepresentation") and "RescaleSlope" not in tags:
        return values / 255
    film = values[~padding]
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
