"""Attributes that say nothing count as absent; those that make no sense are named with their tag."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from ammrg.errors import ReadError
from ammrg.imaging.reading import read_film

RAMP = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (48, 1))
NOTHING = {
    "no items": {"VOILUTSequence": []},
    "an empty item": {"VOILUTSequence": [{}]},
    "an item without values": {"VOILUTSequence": [{"LUTDescriptor": ("US", b""), "LUTData": ("OW", b"")}]},
    "an item without data": {"VOILUTSequence": [{"LUTDescriptor": ("US", struct.pack("<HHH", 4096, 0, 16))}]},
    "an empty modality table": {"ModalityLUTSequence": [{}]},
    "an empty intercept": {"RescaleIntercept": ("DS", b"")},
    "an empty slope": {"RescaleSlope": ("DS", b"")},
    "blank slope and intercept": {"RescaleSlope": ("DS", b"  "), "RescaleIntercept": ("DS", b"  ")},
    "an empty function": {"VOILUTFunction": ("CS", b"")},
    "empty padding": {"PixelPaddingValue": ("US", b"")},
    "a limit of no padding": {"PixelPaddingRangeLimit": ("US", b"\xff\xff")},
    "frames left blank": {"NumberOfFrames": ("IS", b"  ")},
    "no high bit": {"HighBit": ("US", b"")},
}


@pytest.mark.parametrize("windowed", [True, False])
@pytest.mark.parametrize("kind", NOTHING)
def test_what_says_nothing_counts_as_absent(dicom, retag, kind, windowed):
    data = dicom(RAMP, **({"WindowCenter": 1000, "WindowWidth": 700} if windowed else {}))
    assert np.array_equal(read_film(retag(data, **NOTHING[kind])), read_film(data))


@pytest.mark.parametrize(
    ("center", "width"),
    [
        (b"\\1000 ", b"\\700"),
        (b"  \\1000", b"50\\700"),
        (b"3000\\1000 ", b" \\700"),
        (b"1000\\9 ", b"700 "),
        (b" 1000.0 ", b"+7E2"),
    ],
)
@pytest.mark.parametrize("vr", ["DS", "LO", "LT"])
def test_the_first_window_that_has_both_numbers_is_applied(dicom, retag, center, width, vr):
    data = retag(dicom(RAMP), WindowCenter=(vr, center), WindowWidth=(vr, width))
    assert np.array_equal(read_film(data), read_film(dicom(RAMP, WindowCenter=1000, WindowWidth=700)))


@pytest.mark.parametrize(
    "tags",
    [
        {"WindowCenter": ("DS", b"1000")},
        {"WindowWidth": ("DS", b"1000")},
        {"WindowCenter": ("DS", b"\\  "), "WindowWidth": ("DS", b"100 ")},
    ],
)
def test_half_a_window_is_none(dicom, retag, tags):
    assert np.array_equal(read_film(retag(dicom(RAMP), **tags)), read_film(dicom(RAMP)))


WINDOW = {"WindowCenter": ("DS", b"1000"), "WindowWidth": ("DS", b"700 ")}


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"RescaleSlope": ("DS", b"0 ")}, r"\(0028,1053\) RescaleSlope is 0, which makes every pixel the same"),
        ({"RescaleSlope": ("DS", b"NaN ")}, r"\(0028,1053\) RescaleSlope is NaN, expected a finite number"),
        ({"RescaleSlope": ("DS", b"one ")}, r"\(0028,1053\) RescaleSlope is one, expected a number"),
        ({"RescaleIntercept": ("DS", b"-inf")}, r"\(0028,1052\) RescaleIntercept is -inf, expected a finite number"),
        (WINDOW | {"WindowCenter": ("DS", b"NaN ")}, r"\(0028,1050\) WindowCenter is NaN, expected a finite"),
        (WINDOW | {"WindowCenter": ("LO", b"a\\b ")}, r"\(0028,1050\) WindowCenter is a\\b, expected a number"),
        (WINDOW | {"WindowWidth": ("DS", b"1e999 ")}, r"\(0028,1051\) WindowWidth is .*, expected a finite"),
        (WINDOW | {"WindowWidth": ("DS", b"0 ")}, r"\(0028,1051\) WindowWidth is 0, expected at least 1"),
        (WINDOW | {"WindowWidth": ("DS", b"-700")}, r"\(0028,1051\) WindowWidth is -700, expected at least 1"),
        (
            WINDOW | {"WindowWidth": ("DS", b"0 "), "VOILUTFunction": ("CS", b"SIGMOID ")},
            r"\(0028,1051\) WindowWidth is 0, expected above 0",
        ),
        (WINDOW | {"VOILUTFunction": ("CS", b"CUBIC ")}, r"\(0028,1056\) VOILUTFunction is CUBIC, expected LINEAR"),
        (
            WINDOW | {"WindowCenter": ("DS", b"99999 ")},
            r"WindowCenter 99999, WindowWidth 700 shows the whole film",
        ),
        ({"NumberOfFrames": ("IS", b"1A")}, r"\(0028,0008\) NumberOfFrames is 1A, expected a number"),
        ({"VOILUTSequence": ("LO", b"none")}, r"\(0028,3010\) VOILUTSequence is none, expected a sequence"),
        ({"PixelPaddingValue": ("LO", b"none")}, r"\(0028,0120\) PixelPaddingValue is none, expected a number"),
        (
            {"PixelPaddingValue": ("US", b"\0\0"), "PixelPaddingRangeLimit": ("US", b"\xff\xff")},
            r"\(0028,0120\) PixelPaddingValue is 0, and every pixel has this value",
        ),
        ({"BitsStored": ("US", b"\x14\0")}, r"\(0028,0101\) BitsStored is 20, expected 1 to 16"),
        ({"PixelRepresentation": ("US", b"\7\0")}, r"\(0028,0103\) PixelRepresentation is 7, expected 0 or 1"),
    ],
)
def test_nonsense_is_named_with_its_tag(dicom, retag, tmp_path, tags, words):
    path = tmp_path / "odd.dcm"
    path.write_bytes(retag(dicom(RAMP), **tags))
    with pytest.raises(ReadError, match=words) as caught:
        read_film(path)
    assert "odd.dcm" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("width", [0.5, 3.0])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_is_as_wide_as_its_function_allows(dicom, function, width):
    slope, center = 4 / 4095, 2.0
    window = {"WindowCenter": center, "WindowWidth": width, "VOILUTFunction": function}
    data = dicom(RAMP, RescaleSlope=f"{slope:.12f}", RescaleIntercept=0, **window)
    values = RAMP * slope
    if function == "LINEAR" and width < 1:
        with pytest.raises(ReadError, match=r"\(0028,1051\) WindowWidth is 0.5, expected at least 1"):
            read_film(data)
        return
    expected = {
        "LINEAR": (values - (center - 0.5)) / max(width - 1, 1e-9) + 0.5,
        "LINEAR_EXACT": (values - center) / width + 0.5,
        "SIGMOID": 1 / (1 + np.exp(-4 * (values - center) / width)),
    }[function]
    assert np.abs(read_film(data) - np.rint(expected.clip(0, 1) * 255)).max() <= 1


def test_a_film_of_one_grey_is_no_film(dicom):
    with pytest.raises(ReadError, match="every pixel is 7: there is nothing to see"):
        read_film(dicom(np.full((48, 64), 7, np.uint16)))


def test_a_file_without_pixels_says_so(dicom, retag):
    tags = {"PixelData": ("OW", b""), "PhotometricInterpretation": ("CS", b"")}
    data = retag(dicom(RAMP), **tags)
    with pytest.raises(ReadError, match="without pixels"):
        read_film(data)


@pytest.mark.parametrize("compress", [None, "jpeg"])
def test_a_file_that_ends_too_early_may_be_cut_off(dicom, compress):
    whole = dicom((RAMP // 16).astype(np.uint8), bits=8, compress=compress)
    pixels = whole.index(struct.pack("<HH", 0x7FE0, 0x0010))
    for end in (pixels // 2, pixels, *([pixels + 100] if compress else [])):
        with pytest.raises(ReadError, match="without pixels, or one that is cut off; leave it out, or copy it again"):
            read_film(whole[:end])


def test_pixels_that_do_not_fill_the_film_are_counted(dicom, retag):
    data = retag(dicom(RAMP), PixelData=("OW", bytes(1000)))
    with pytest.raises(
        ReadError, match=r"PixelData has 1,000 bytes, but \d+ x \d+ pixels have [\d,]+; the file was cut"
    ):
        read_film(data)
