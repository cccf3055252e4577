"""Stored pixels of a DICOM file: checks before they are decoded, which bits are the film's, and which are padding."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ReadError
from ammrg.imaging.attributes import named, number, whole, with_tag
from ammrg.imaging.codestream import read_codestream
from ammrg.imaging.headers import check_scans, check_tiles

RLE = "1.2.840.10008.1.2.5"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"


@dataclass(frozen=True)
class Layout:
    """The bits of a word that hold the film's value (PS3.5, 8.1.1).

    Attributes:
        allocated: bits of a word, 8 or 16.
        stored: bits of a value.
        shift: unused bits below the value.
        signed: whether values are in two's complement.
    """

    allocated: int
    stored: int
    shift: int
    signed: bool

    @property
    def lowest(self) -> int:
        """The smallest value that can be stored."""
        return -(2 ** (self.stored - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The largest value that can be stored."""
        return int(2 ** (self.stored - self.signed) - 1)

    def values(self, words: NDArray[np.int64]) -> NDArray[np.int64]:
        """Extract the values from words, without the bits beside them (overlays in old files, padding)."""
        return wrapped(words >> self.shift, self.stored, self.signed)


def wrapped(words: NDArray[np.int64], bits: int, signed: bool) -> NDArray[np.int64]:
    """Read the lowest bits of integers as unsigned or two's complement numbers."""
    span = 1 << bits
    values = words & (span - 1)
    return np.where(values >= span // 2, values - span, values) if signed else values


def layout_of(tags: Any) -> Layout:
    """Read the layout from BitsAllocated, BitsStored, HighBit and PixelRepresentation.

    Raises:
        ValueError: they contradict each other or the compression.
    """
    allocated = whole(tags, "BitsAllocated", 0)
    if allocated not in (8, 16):
        raise ValueError(f"{named(tags, 'BitsAllocated')}; a film has 8 or 16")
    stored = whole(tags, "BitsStored", allocated)
    if not 1 <= stored <= allocated:
        raise ValueError(f"{named(tags, 'BitsStored')}, expected 1 to {allocated} (BitsAllocated)")
    signed = whole(tags, "PixelRepresentation", 0)
    if signed not in (0, 1):
        raise ValueError(f"{named(tags, 'PixelRepresentation')}, expected 0 or 1")
    shift = whole(tags, "HighBit", stored - 1) - (stored - 1)
    if not 0 <= shift <= allocated - stored:
        raise ValueError(
            f"{named(tags, 'HighBit')}, which does not fit {stored} stored bits of {allocated} allocated ones"
        )
    if shift and not in_words(tags):
        raise ValueError(f"{named(tags, 'HighBit')}, expected {stored - 1} with compressed pixels")
    return Layout(allocated, stored, shift, bool(signed))


def in_words(tags: Any) -> bool:
    """Tell whether pixels are stored as words of BitsAllocated bits: uncompressed or run-length encoded."""
    syntax = tags.file_meta.TransferSyntaxUID
    return not syntax.is_compressed or syntax == RLE


def check_stored(tags: Any, name: str) -> None:
    """Refuse pixels that no installed decoder reads, or that contradict the tags.

    Fills in a missing transfer syntax where the pixels are not compressed.

    Raises:
        ReadError: the message says how the pixels are stored.
    """
    encapsulated = tags["PixelData"].is_undefined_length
    if not tags.file_meta.get("TransferSyntaxUID"):
        if encapsulated:
            raise ReadError(
                f"{name}: {with_tag('TransferSyntaxUID')} is missing and the pixels are compressed, in an unknown way; "
                "store them uncompressed, or add the transfer syntax"
            )
        uid: Any = importlib.import_module("pydicom.uid")
        implicit, little = tags.original_encoding
        explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        tags.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit
    syntax = tags.file_meta.TransferSyntaxUID
    if syntax.is_compressed != encapsulated:
        found = "are" if encapsulated else "are not"
        raise ReadError(f"{name}: {with_tag('TransferSyntaxUID')} is {syntax.name}, but the pixels {found} compressed")
    if not encapsulated:
        check_whole(tags, name)
        return
    decoder = importlib.import_module("pydicom.pixels").get_decoder(syntax)
    if not decoder.is_available:
        gdcm = any("gdcm" in line for line in decoder.missing_dependencies)
        how = "pip install python-gdcm" if gdcm else "pip install pylibjpeg pylibjpeg-openjpeg"
        raise ReadError(f"{name}: no decoder is installed for {syntax.name}: {how}, or store it uncompressed")
    if syntax != RLE:
        check_frame(tags, decoder, name)


def check_whole(tags: Any, name: str) -> None:
    """Refuse uncompressed pixels of 8 or 16 bits that do not fill the film; other depths are refused elsewhere.

    Raises:
        ReadError: the message says how many bytes there are.
    """
    bits, given = whole(tags, "BitsAllocated", 0), len(tags.PixelData)
    needed = tags.Rows * tags.Columns * bits // 8
    if bits in (8, 16) and given < needed:
        raise ReadError(
            f"{name}: PixelData has {given:,} bytes, but {tags.Rows} x {tags.Columns} pixels have {needed:,}; the file "
            "was cut off or damaged, so copy it again"
        )


def check_frame(tags: Any, decoder: Any, name: str) -> None:
    """Refuse a codestream that contradicts the tags, takes too long to decode, or is too deep for the decoders.

    Raises:
        ReadError: the message says what the codestream holds.
    """
    frame = importlib.import_module("pydicom.encaps").get_frame(tags.PixelData, 0, number_of_frames=1)
    found = read_codestream(frame)
    if (found.columns, found.rows) != (tags.Columns, tags.Rows):
        sizes = f"{tags.Columns} x {tags.Rows}, but its pixels are {found.columns} x {found.rows}"
        raise ReadError(f"{name}: Columns x Rows are {sizes}")
    if found.bits > whole(tags, "BitsAllocated", 0):
        raise ReadError(f"{name}: {named(tags, 'BitsAllocated')}, but its pixels have {found.bits} bits")
    check_tiles(frame, name)
    check_scans(frame, name)
    # Of pydicom's plugins for JPEG Extended, Pillow's and GDCM's read at most 8 bits.
    bits = max(found.bits, whole(tags, "BitsStored", 8))
    if decoder.UID == JPEG_EXTENDED and bits > 8 and "pylibjpeg" not in decoder.available_plugins:
        raise ReadError(
            f"{name}: no decoder is installed for JPEG Extended of {bits} bits: pip install pylibjpeg "
            "pylibjpeg-libjpeg, or store it uncompressed"
        )


def stored_words(tags: Any, layout: Layout) -> NDArray[np.int64 | np.int32]:
    """Decode the pixels.

    Returns:
        int32 ``[h w]``: unsigned words as they are in the file, or, from a codestream, its values with their sign.
    """
    words = in_words(tags)
    # A file may leave these out, but decoders need them.
    tags.BitsStored, tags.PixelRepresentation = layout.stored, int(layout.signed)
    tags.SamplesPerPixel = whole(tags, "SamplesPerPixel", 1)
    if "NumberOfFrames" in tags:
        del tags.NumberOfFrames
    decoder = importlib.import_module("pydicom.pixels").get_decoder(tags.file_meta.TransferSyntaxUID)
    pixels, _ = decoder.as_array(tags, raw=True, correct_unused_bits=not words)
    native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return np.asarray(native.view(f"u{native.itemsize}") if words else native, dtype=np.int32)


def padded(words: NDArray[np.int64], layout: Layout, tags: Any) -> NDArray[np.bool_]:
    """Find the words that are padding, not film (PS3.3 C.7.5.1.1.2).

    Padding goes from PixelPaddingValue to PixelPaddingRangeLimit. PixelRepresentation decides their sign, whatever
    their value representation says. Where they are out of the range of values, whole words (with the unused bits) are
    compared as well.

    Args:
        words: ``[n]``, see :func:`stored_words`.
        layout: of the words.
        tags: a pydicom ``Dataset``.

    Returns:
        bool ``[n]``.
    """
    value = number(tags, "PixelPaddingValue")
    if value is None:
        return np.zeros(words.shape, np.bool_)
    limit = number(tags, "PixelPaddingRangeLimit")
    ends = np.array([value, value if limit is None else limit]).astype(np.int64)
    low, high = np.sort(wrapped(ends, layout.allocated, layout.signed)).tolist()
    values = layout.values(words)
    padding = (values >= low) & (values <= high)
    if low < layout.lowest or high > layout.highest:
        full = wrapped(words, layout.allocated, layout.signed)
        padding |= (full >= low) & (full <= high)
    return np.asarray(padding)
