"""Lookup tables in all the ways films have them; the right value is the table's own entry over its own white."""

from __future__ import annotations

import io
import struct

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRBigEndian

from ammrg.errors import ReadError
from ammrg.imaging.reading import read_film

RAMP = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (48, 1))


def table(
    entries: np.ndarray, bits: int, *, told: int | None = None, first: int = 0, vr: str = "US", words: str = "OW"
) -> dict[str, object]:
    """An item of a lookup table sequence, 16-bit entries as they are given."""
    descriptor = struct.pack("<HHH", (len(entries) if told is None else told) & 0xFFFF, first & 0xFFFF, bits)
    return {"LUTDescriptor": (vr, descriptor), "LUTData": (words, entries.astype("<u2").tobytes())}


def curve(top: int, count: int = 4096) -> np.ndarray:
    """An S-shaped table from 0 to ``top``, as detectors write them."""
    places = np.linspace(-3, 3, count)
    return np.rint(top * (np.tanh(places) / np.tanh(3) + 1) / 2).astype(np.int64)


def shown(entries: np.ndarray, top: float, pixels: np.ndarray = RAMP) -> np.ndarray:
    return np.rint(entries[pixels] / top * 255)


@pytest.mark.parametrize(
    ("told", "top", "white"),
    [
        (16, 4095, 4095),  # the descriptor promises 16 bits, the entries have 12
        (16, 1023, 1023),
        (16, 16383, 16383),
        (16, 32767, 32767),
        (12, 1023, 1023),
        (10, 4095, 4095),  # and the other way round
        (8, 65535, 65535),
        (16, 4000, 4095),
        (12, 4095, 4095),  # honest ones
        (16, 12000, 65535),
        (16, 32000, 65535),  # close to 15 bits is not their very end
        (8, 127, 255),  # nobody means fewer than 8
        (12, 800, 4095),
        (16, 65535, 65535),
        (16, 60000, 65535),
        (12, 3900, 4095),
        (10, 1000, 1023),
        (16, 255, 255),
    ],
)
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_white_is_what_descriptor_and_entries_agree_on(dicom, retag, told, top, white, kind):
    entries = curve(top)
    film = read_film(retag(dicom(RAMP, PhotometricInterpretation=kind), VOILUTSequence=[table(entries, told)]))
    expected = shown(entries, white)
    assert np.abs(film - (255 - expected if kind == "MONOCHROME1" else expected)).max() <= 1


def test_what_is_left_of_a_table_says_nothing_of_its_white(dicom, retag):
    entries, pixels = np.arange(1000), np.tile(np.linspace(0, 800, 64).astype(np.uint16), (48, 1))
    film = read_film(retag(dicom(pixels), VOILUTSequence=[table(entries, 12, told=4096)]))
    assert np.abs(film - shown(entries, 4095, pixels)).max() <= 1


@pytest.mark.parametrize("padded", [b"", b"\0"])
def test_entries_of_eight_bits_may_share_words(dicom, retag, padded):
    pixels = np.tile(np.arange(255, dtype=np.uint16), (20, 1))
    entries = np.arange(254, -1, -1)
    item = table(entries, 8) | {"LUTData": ("OW", entries.astype(np.uint8).tobytes() + (padded or b"\0"))}
    assert np.array_equal(read_film(retag(dicom(pixels), VOILUTSequence=[item])), entries[pixels])


def test_entries_of_eight_bits_may_have_words_of_their_own_or_share_numbers(dicom, retag):
    pixels = np.tile(np.arange(256, dtype=np.uint16), (20, 1))
    entries = np.arange(255, -1, -1)
    shared = {"LUTData": ("US", entries.astype(np.uint8).tobytes())}
    for item in (table(entries, 8), table(entries, 8, words="US"), table(entries, 8) | shared):
        assert np.array_equal(read_film(retag(dicom(pixels), VOILUTSequence=[item])), entries[pixels])


def test_bytes_for_entries_of_sixteen_bits_are_refused(dicom, retag):
    item = table(curve(255), 16) | {"LUTData": ("OW", curve(255).astype(np.uint8).tobytes())}
    with pytest.raises(
        ReadError, match=r"LUTData in \(0028,3010\) VOILUTSequence has 4096 bytes for 4096 entries of 16"
    ):
        read_film(retag(dicom(RAMP), VOILUTSequence=[item]))


def test_a_table_shorter_than_told_is_read_where_the_film_does_not_miss_the_rest(dicom, retag):
    entries = curve(4095)
    item = table(entries, 12, told=0)  # which is 65,536
    assert np.abs(read_film(retag(dicom(RAMP), VOILUTSequence=[item])) - shown(entries, 4095)).max() <= 1
    with pytest.raises(ReadError, match=r"VOILUTSequence holds 3000 of the 4096 entries that its LUTDescriptor gives"):
        read_film(retag(dicom(RAMP), VOILUTSequence=[table(entries[:3000], 12, told=4096)]))
    # Filling needs no entry.
    framed = np.where(RAMP < 2900, RAMP, 4095).astype(np.uint16)
    film = read_film(
        retag(dicom(framed, PixelPaddingValue=4095), VOILUTSequence=[table(entries[:3000], 12, told=4096)])
    )
    assert np.abs(film - np.where(RAMP < 2900, shown(entries, 4095), 0)).max() <= 1


@pytest.mark.parametrize("descriptor", [b"\0\x10\0\0", b"\0\x10\0\0\0\0", b"\0\x10\0\0\x20\0", b""])
def test_a_descriptor_that_makes_no_sense_is_named(dicom, retag, descriptor):
    item = table(curve(4095), 12) | {"LUTDescriptor": ("US", descriptor)}
    with pytest.raises(ReadError, match=r"\(0028,3002\) LUTDescriptor is .* in \(0028,3010\) VOILUTSequence"):
        read_film(retag(dicom(RAMP), VOILUTSequence=[item]))


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_the_first_value_mapped_has_the_sign_of_what_the_table_maps(dicom, retag, vr):
    entries, lowered = curve(4095), (RAMP.astype(np.int32) - 2000).astype(np.int16)
    item = table(entries, 12, first=-2000, vr=vr)
    expected = shown(entries, 4095)
    signed = retag(dicom(lowered, bits=16), VOILUTSequence=[item])
    assert np.abs(read_film(signed) - expected).max() <= 1
    rescaled = retag(dicom(RAMP, RescaleSlope=1, RescaleIntercept=-2000), VOILUTSequence=[item])
    assert np.abs(read_film(rescaled) - expected).max() <= 1
    below = retag(dicom(RAMP), VOILUTSequence=[table(curve(4095, 4196), 12, first=-100, vr=vr)])
    assert np.abs(read_film(below) - shown(curve(4095, 4196), 4095, RAMP + 100)).max() <= 1
    wide = retag(
        dicom(RAMP, bits=16, RescaleSlope=1, RescaleIntercept=-1000),
        VOILUTSequence=[table(curve(4095, 5200), 12, first=-2000, vr=vr)],
    )
    assert np.abs(read_film(wide) - shown(curve(4095, 5200), 4095, RAMP + 1000)).max() <= 1
    high = retag(dicom(RAMP + np.uint16(40_000), bits=16), VOILUTSequence=[table(entries, 12, first=40_000, vr=vr)])
    assert np.abs(read_film(high) - expected).max() <= 1


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_modality_table_of_any_number_of_bits_comes_before_the_window(dicom, retag, bits):
    entries = curve(2**bits - 1)
    film = read_film(
        retag(
            dicom(RAMP, WindowCenter=2 ** (bits - 1), WindowWidth=2**bits), ModalityLUTSequence=[table(entries, bits)]
        )
    )
    assert np.abs(film - shown(entries, 2**bits - 1)).max() <= 1


def test_both_tables_one_after_the_other(dicom, retag):
    down, entries = np.arange(4095, -1, -1), curve(65535)
    data = retag(dicom(RAMP), ModalityLUTSequence=[table(down, 12)], VOILUTSequence=[table(entries, 16)])
    assert np.abs(read_film(data) - shown(entries, 65535, down[RAMP])).max() <= 1


def test_tables_of_big_endian_files(dicom, retag):
    entries = curve(4095)
    tags = pydicom.dcmread(io.BytesIO(retag(dicom(RAMP), VOILUTSequence=[table(entries, 16)])))
    _ = tags.VOILUTSequence[0].LUTDescriptor, tags.VOILUTSequence[0].LUTData
    tags.VOILUTSequence[0].LUTData = entries.astype(">u2").tobytes()
    tags.PixelData = RAMP.astype(">u2").tobytes()
    tags.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    file = io.BytesIO()
    pydicom.dcmwrite(file, tags, implicit_vr=False, little_endian=False, force_encoding=True)
    assert np.abs(read_film(file.getvalue()) - shown(entries, 4095)).max() <= 1
