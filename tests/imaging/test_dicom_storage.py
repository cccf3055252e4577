"""How pixels are stored: which bits, which filling, which codestream, and what a file may leave out before them."""

from __future__ import annotations

import io
import struct

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGExtended12Bit, RLELossless

from ammrg.errors import ReadError
from ammrg.imaging.dicom_start import whole_file
from ammrg.imaging.reading import read_film

RAMP = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (48, 1))
SIGNED = (RAMP.astype(np.int32) - 2048).astype(np.int16)


def short(value: int) -> bytes:
    return struct.pack("<H", value & 0xFFFF)


def packed(data: bytes) -> bytes:
    """The same file, its words as run lengths."""
    tags = pydicom.dcmread(io.BytesIO(data))
    tags.BitsStored = 16  # pydicom's encoder refuses words with anything beside the value
    tags.compress(RLELossless, generate_instance_uid=False)
    tags.BitsStored = 12
    file = io.BytesIO()
    pydicom.dcmwrite(file, tags, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.parametrize("pixels", [RAMP, SIGNED])
@pytest.mark.parametrize("high", [12, 15])
def test_bits_above_the_lowest_are_shifted_down(dicom, retag, pixels, high):
    raised = (pixels.view(np.uint16) << (high - 11)).view(pixels.dtype)
    data = retag(dicom(raised, WindowCenter=300, WindowWidth=900), HighBit=("US", short(high)))
    plain = read_film(dicom(pixels, WindowCenter=300, WindowWidth=900))
    assert np.array_equal(read_film(data), plain)
    assert np.array_equal(read_film(packed(data)), plain)


@pytest.mark.parametrize("pixels", [RAMP, SIGNED])
def test_bits_beside_the_value_are_no_part_of_it(dicom, pixels):
    drawn = (pixels.view(np.uint16) & 0xFFF) | 0x5000  # overlays, or nothing that means anything
    assert np.array_equal(read_film(dicom(drawn.view(pixels.dtype))), read_film(dicom(pixels)))


@pytest.mark.parametrize("high", [4, 16, 65535])
def test_a_high_bit_that_cannot_be_is_named(dicom, retag, high):
    with pytest.raises(
        ReadError, match=rf"\(0028,0102\) HighBit is {high}, which does not fit 12 stored bits of 16 allocated"
    ):
        read_film(retag(dicom(RAMP), HighBit=("US", short(high))))


def test_a_high_bit_that_a_codestream_contradicts_is_named(dicom, retag):
    data = retag(dicom(RAMP, compress="jpeg2000"), HighBit=("US", short(15)))
    with pytest.raises(ReadError, match=r"\(0028,0102\) HighBit is 15, expected 11 with compressed pixels"):
        read_film(data)


@pytest.mark.parametrize("vr", ["US", "SS"])
@pytest.mark.parametrize(
    ("pixels", "bits", "padding"), [(SIGNED, 16, -20_000), (RAMP, 16, 60_000), (SIGNED, 12, -2048)]
)
def test_padding_is_known_in_either_sign(dicom, retag, vr, pixels, bits, padding):
    filled = pixels.copy()
    filled[:, :10] = padding
    data = retag(dicom(filled, bits=bits), PixelPaddingValue=(vr, short(padding)))
    film = read_film(data)
    assert film[:, :10].max() == 0
    assert (film[:, 10:].min(), film[:, 10:].max()) == (0, 255)


@pytest.mark.parametrize("vr", ["US", "SS"])
def test_a_range_of_padding_is_known_in_either_sign(dicom, retag, vr):
    filled = SIGNED.copy()
    filled[:, :10], filled[:, 10:20] = -20_000, -19_000
    tags = {"PixelPaddingValue": (vr, short(-20_000)), "PixelPaddingRangeLimit": (vr, short(-19_000))}
    film = read_film(retag(dicom(filled, bits=16, PhotometricInterpretation="MONOCHROME1"), **tags))
    assert film[:, :20].max() == 0
    assert (film[:, 20:].min(), film[:, 20:].max()) == (0, 255)


def test_padding_outside_the_stored_bits_hides_no_value_inside(dicom, retag):
    """-2000 in the 16 bits of a 12-bit unsigned film: its lowest 12 bits are the value 2096, which is film."""
    filled = RAMP.copy()
    filled[0, :] = -2000 & 0xFFFF
    filled[1, :] = 2096
    film = read_film(retag(dicom(filled), PixelPaddingValue=("US", short(-2000))))
    assert film[0].max() == 0
    assert film[1].min() == round(2096 / 4095 * 255)


def deep_jpeg(bits: int) -> bytes:
    """The header of a JPEG Extended film of 64 x 48, and no more."""
    frame = b"\xff\xc1" + struct.pack(">HBHHB", 11, bits, 48, 64, 1) + b"\x01\x11\0"
    return b"\xff\xd8" + b"\xff\xfe\0\4\xff\xc0" + frame + b"\xff\xda\0\2" + b"\0" * 8 + b"\xff\xd9"


def extended(data: bytes, bits: int = 12) -> bytes:
    tags = pydicom.dcmread(io.BytesIO(data))
    tags.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    tags.PixelData = encapsulate([deep_jpeg(bits)])
    tags["PixelData"].VR, tags["PixelData"].is_undefined_length = "OB", True
    file = io.BytesIO()
    pydicom.dcmwrite(file, tags, enforce_file_format=True)
    return file.getvalue()


def test_twelve_bits_of_jpeg_name_a_decoder_that_can(dicom, monkeypatch):
    def cannot(frame, runner):
        raise NotImplementedError

    monkeypatch.setattr(get_decoder(JPEGExtended12Bit), "_available", {"pillow": cannot, "gdcm": cannot})
    with pytest.raises(ReadError, match="JPEG Extended of 12 bits: pip install pylibjpeg pylibjpeg-libjpeg, or store"):
        read_film(extended(dicom(RAMP)))
    with pytest.raises(ReadError, match="JPEG Extended of 12 bits: pip install pylibjpeg pylibjpeg-libjpeg, or store"):
        read_film(extended(dicom(RAMP), bits=8))  # its tags say 12


def test_twelve_bits_of_jpeg_go_to_the_decoder_that_can(dicom, monkeypatch):
    def cannot(frame, runner):
        raise NotImplementedError

    plugins = {"pillow": cannot, "pylibjpeg": lambda frame, runner: bytearray(RAMP.tobytes())}
    monkeypatch.setattr(get_decoder(JPEGExtended12Bit), "_available", plugins)
    assert np.array_equal(read_film(extended(dicom(RAMP))), read_film(dicom(RAMP)))


def test_more_bits_than_allocated_are_refused_before_decoding(dicom):
    with pytest.raises(ReadError, match=r"\(0028,0100\) BitsAllocated is 8, but its pixels have 12 bits"):
        read_film(extended(dicom((RAMP >> 4).astype(np.uint8), bits=8)))


def written(data: bytes, implicit: bool, little_endian: bool) -> bytes:
    """The data set alone, as an old file has it."""
    tags = pydicom.dcmread(io.BytesIO(data))
    file = io.BytesIO()
    pydicom.dcmwrite(
        file, pydicom.Dataset(tags), implicit_vr=implicit, little_endian=little_endian, force_encoding=True
    )
    return file.getvalue()


@pytest.mark.parametrize("start", [b"", bytes(128), b"DICM", bytes(128) + b"DICM"])
@pytest.mark.parametrize("implicit", [True, False])
def test_a_data_set_alone_is_read(dicom, start, implicit):
    data = dicom(RAMP)
    assert np.array_equal(read_film(start + written(data, implicit, True)), read_film(data))


def test_a_data_set_alone_is_read_from_big_endian(dicom):
    data = dicom(RAMP)
    tags = pydicom.dcmread(io.BytesIO(data))
    tags.PixelData = RAMP.byteswap().tobytes()
    file = io.BytesIO()
    pydicom.dcmwrite(file, pydicom.Dataset(tags), implicit_vr=False, little_endian=False, force_encoding=True)
    for read in (file.getvalue(), bytes(128) + b"DICM" + file.getvalue()):
        assert np.array_equal(read_film(read), read_film(data))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_the_meta_group_without_its_preamble_is_read(dicom, syntax):
    tags = pydicom.dcmread(io.BytesIO(dicom(RAMP)))
    if syntax == ExplicitVRBigEndian:
        tags.PixelData = RAMP.byteswap().tobytes()
    tags.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    pydicom.dcmwrite(
        file, tags, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian, force_encoding=True
    )
    data = file.getvalue()
    for start in (0, 128, 132):
        assert np.array_equal(read_film(data[start:]), read_film(dicom(RAMP)))


def without_syntax(data: bytes) -> bytes:
    tags = pydicom.dcmread(io.BytesIO(data))
    syntax = tags.file_meta.TransferSyntaxUID
    at = data.index(b"\x02\0\x10\0UI")
    return data[:at] + data[at + 8 + len(syntax) + len(syntax) % 2 :]


def test_a_missing_transfer_syntax_is_seen_or_said(dicom):
    assert np.array_equal(read_film(without_syntax(dicom(RAMP))), read_film(dicom(RAMP)))
    with pytest.raises(ReadError, match=r"\(0002,0010\) TransferSyntaxUID is missing and the pixels are compressed"):
        read_film(without_syntax(dicom(RAMP, compress="jpeg2000")))


def test_a_transfer_syntax_that_the_pixels_contradict_is_named(dicom):
    plain, coded = dicom(RAMP), dicom(RAMP, compress="jpeg2000")
    lying = coded.replace(JPEG2000Lossless.encode(), b"1.2.840.10008.1.2.1\0\0\0"[: len(JPEG2000Lossless)])
    with pytest.raises(ReadError, match="TransferSyntaxUID is Explicit VR Little Endian, but the pixels are"):
        read_film(lying)
    lying = plain.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0")
    with pytest.raises(ReadError, match="TransferSyntaxUID is RLE Lossless, but the pixels are not compressed"):
        read_film(lying)


@pytest.mark.parametrize(
    "data", [b"", b"\x08\0", b"\x08\0\x05\0CS", b"\x08\0" * 300, b"\x02\0\0\0" * 90, b"BM" + bytes(600)]
)
def test_other_files_are_taken_for_no_dicom(data):
    assert whole_file(data) is None
