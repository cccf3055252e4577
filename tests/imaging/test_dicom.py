"""DICOM radiographs as a viewer shows them; the tags decide, and what is no radiograph is refused politely."""

from __future__ import annotations

import io
import struct
import sys
import zlib

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, DeflatedExplicitVRLittleEndian, HTJ2KLossless, JPEGLosslessSV1

from ammrg.errors import ReadError
from ammrg.imaging.reading import read_film
from tests.counted_steps import counted_calls

RAMP = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (48, 1))


def expected(pixels: np.ndarray, center: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2 as its pseudo-code writes it, for 0..255."""
    values = pixels.astype(float)
    ramp = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    return np.rint(np.where(values <= low, 0, np.where(values > high, 255, ramp)))


def test_without_a_window_deep_pixels_fill_the_range(dicom):
    film = read_film(dicom(RAMP))
    assert film.shape == RAMP.shape
    assert (film.min(), film.max()) == (0, 255)
    assert (np.diff(film[0].astype(int)) >= 0).all()


def test_monochrome1_is_the_exact_inverse(dicom):
    data = {kind: read_film(dicom(RAMP, PhotometricInterpretation=kind)) for kind in ("MONOCHROME1", "MONOCHROME2")}
    assert np.array_equal(data["MONOCHROME1"], 255 - data["MONOCHROME2"])


def test_eight_bits_stay_as_they_are(dicom):
    pixels = np.tile(np.arange(10, 200, dtype=np.uint8), (20, 1))
    assert np.array_equal(read_film(dicom(pixels, bits=8)), pixels)


@pytest.mark.parametrize(("center", "width"), [(2048, 1024), ([1000, 3000], [500, 100]), ("700", "2")])
def test_the_first_window_is_applied(dicom, center, width):
    film = read_film(dicom(RAMP, WindowCenter=center, WindowWidth=width))
    first = (float(center[0]), float(width[0])) if isinstance(center, list) else (float(center), float(width))
    assert np.abs(film - expected(RAMP, *first)).max() <= 1


def test_rescale_comes_before_the_window(dicom):
    film = read_film(dicom(RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=1000, WindowWidth=2000))
    assert np.abs(film - expected(RAMP.astype(int) * 2 - 1000, 1000, 2000)).max() <= 1


def test_signed_pixels(dicom):
    film = read_film(dicom((RAMP.astype(np.int32) - 2000).astype(np.int16), bits=16))
    assert np.array_equal(film, read_film(dicom(RAMP)))


def test_sigmoid_window(dicom):
    film = read_film(dicom(RAMP, WindowCenter=2048, WindowWidth=1000, VOILUTFunction="SIGMOID"))
    assert np.abs(film - 255 / (1 + np.exp(-4 * (RAMP.astype(float) - 2048) / 1000))).max() <= 1


def test_lookup_table(dicom):
    table = pydicom.Dataset()
    table.LUTDescriptor = [4096, 0, 12]
    table.LUTData = np.arange(4095, -1, -1, dtype=np.uint16).tobytes()
    table["LUTDescriptor"].VR = "US"
    table["LUTData"].VR = "OW"
    film = read_film(dicom(RAMP, VOILUTSequence=pydicom.Sequence([table]), WindowCenter=1, WindowWidth=1))
    assert np.abs(film - (4095 - RAMP.astype(float)) / 4095 * 255).max() <= 1


def test_padding_is_black_and_does_not_stretch_the_range(dicom):
    pixels = RAMP.copy()
    pixels[:, :10] = 60_000
    film = read_film(dicom(pixels, bits=16, PixelPaddingValue=60_000, PhotometricInterpretation="MONOCHROME1"))
    assert film[:, :10].max() == 0
    assert (film[:, 10:].min(), film[:, 10:].max()) == (0, 255)


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("compress", ["rle", "jpeg2000"])
def test_lossless_compression_is_the_same_film(dicom, compress, kind):
    tags = {"bits": 16, "PhotometricInterpretation": kind}
    assert np.array_equal(read_film(dicom(RAMP, compress=compress, **tags)), read_film(dicom(RAMP, **tags)))


def test_jpeg_is_nearly_the_same_film(dicom):
    pixels = np.tile(np.arange(10, 200, dtype=np.uint8), (20, 1))
    film = read_film(dicom(pixels, bits=8, compress="jpeg"))
    assert np.abs(film.astype(int) - pixels).max() <= 3


def test_eight_bits_that_a_rescale_leaves_alone_stay_as_they_are(dicom):
    pixels = np.tile(np.arange(10, 200, dtype=np.uint8), (20, 1))
    assert np.array_equal(read_film(dicom(pixels, bits=8, RescaleSlope=1, RescaleIntercept=0)), pixels)


def test_levels_no_pixel_has_do_not_stretch_the_range(dicom):
    """Levels are mapped, not pixels: those between the film and its padding are in no film."""
    pixels = RAMP.copy()
    pixels[:, 0] = 9_000
    assert read_film(dicom(pixels, bits=16, PixelPaddingValue=9_000))[:, 1:].max() == 255


@pytest.mark.parametrize(
    "part",
    ["CHEST", "chest", "", "THORAX", "CHEST_TO_ABDOMEN", "PORT CHEST/ABDOMEN", "RIB", "SHOULDER", "TSPINE", "HANDLED"],
)
def test_a_chest_under_any_name_and_its_neighbours_are_read(dicom, part):
    assert read_film(dicom(RAMP, BodyPartExamined=part)).shape == RAMP.shape


@pytest.mark.parametrize("part", ["HAND", "LT_HAND", "KNEES", "Skull", "ABDOMEN", "L-SPINE/PELVIS"])
def test_another_part_of_the_body_is_refused(dicom, part):
    with pytest.raises(ReadError, match=f"BodyPartExamined is {part.upper()}; only films of the chest"):
        read_film(dicom(RAMP, BodyPartExamined=part))


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, "Modality is CT"),
        ({"NumberOfFrames": 3}, "3 frames"),
        ({"PhotometricInterpretation": "RGB"}, "PhotometricInterpretation is RGB"),
        ({"Rows": 60_000, "Columns": 60_000}, "60000 x 60000 pixels, more than"),
        ({"Rows": 0}, "without pixels"),
        ({"BitsAllocated": 32}, "BitsAllocated is 32"),
        ({"WindowCenter": 10, "WindowWidth": 0}, "WindowWidth is 0"),
    ],
)
def test_what_is_no_film_is_refused(dicom, tmp_path, tags, reason):
    path = tmp_path / "other.dcm"
    path.write_bytes(dicom(RAMP, **tags))
    with pytest.raises(ReadError, match=reason) as caught:
        read_film(path)
    assert "other.dcm" in str(caught.value)


def with_frame(data: bytes, syntax: str, frame: bytes) -> bytes:
    """The same file, its pixels replaced by an encapsulated frame."""
    tags = pydicom.dcmread(io.BytesIO(data))
    tags.file_meta.TransferSyntaxUID = syntax
    tags.PixelData = encapsulate([frame])
    tags["PixelData"].VR, tags["PixelData"].is_undefined_length = "OB", True
    file = io.BytesIO()
    pydicom.dcmwrite(file, tags, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("syntax", "advice"),
    [(JPEGLosslessSV1, "pip install python-gdcm"), (HTJ2KLossless, "store it uncompressed")],
)
def test_an_unknown_compression_is_named_with_its_cure(dicom, monkeypatch, syntax, advice):
    from pydicom.pixels import get_decoder

    # Whatever is installed where this runs.
    monkeypatch.setattr(get_decoder(syntax), "_available", {})
    with pytest.raises(ReadError, match=advice) as caught:
        read_film(with_frame(dicom(RAMP), syntax, b"\xff\xd8\xff\xd9"))
    assert "no decoder is installed for" in str(caught.value)


def test_a_frame_larger_than_its_tags_is_refused_before_decoding(dicom):
    frame = io.BytesIO()
    Image.new("L", (3000, 3000)).save(frame, "JPEG2000", no_jp2=True)
    with pytest.raises(ReadError, match="64 x 48, but its pixels are 3000 x 3000"):
        read_film(with_frame(dicom(RAMP), JPEG2000, frame.getvalue()))


def headed(data: bytes, body: bytes, syntax: str | None = None) -> bytes:
    """The preamble and file meta group of a file, another data set behind them."""
    meta = pydicom.dcmread(io.BytesIO(data)).file_meta
    if syntax is not None:
        meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    pydicom.dcmwrite(file, pydicom.FileDataset("", {}, file_meta=meta), enforce_file_format=True)
    start = file.getvalue()
    return start[: start.index(b"\x02\0\0\0UL") + 12 + meta.FileMetaInformationGroupLength] + body


def test_files_that_would_be_parsed_for_ever_are_refused(dicom):
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = deflater.compress(b"\0" * 100_000_000) + deflater.flush()
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    items = struct.pack("<HH2sHI", 0x0008, 0x1115, b"SQ", 0, 0xFFFFFFFF) + item * 500_000
    data = dicom(RAMP)
    for body, syntax, reason in (
        (deflated, DeflatedExplicitVRLittleEndian, "deflated"),
        (items, None, "elements do not end"),
        (b"\0" * 8_000_000, None, "elements do not end"),
        (items[:12] + (items[:12] + item) * 50_000, None, "cannot be decoded"),
    ):
        file = headed(data, body, syntax)

        def refused(file: bytes = file, reason: str = reason) -> None:
            with pytest.raises(ReadError, match=reason):
                read_film(file)

        assert counted_calls(refused) < 3_000_000  # ten times that, and more, without a limit


def test_truncated_files_and_lengths_beyond_the_end(dicom):
    data = dicom(RAMP)
    for length in (140, 400, len(data) - 100):
        with pytest.raises(ReadError):
            read_film(data[:length])
    at = data.index(b"\xe0\x7f\x10\0OW\0\0") + 8
    claiming = {
        length: data[:at] + struct.pack("<I", length) + data[at + 4 :] for length in (0xFFFFFFF0, 0xFFFFFFFF, 0)
    }
    assert np.array_equal(read_film(claiming[0xFFFFFFF0]), read_film(data))  # all its pixels are there
    for length in (0xFFFFFFFF, 0):
        with pytest.raises(ReadError):
            read_film(claiming[length])


def test_a_missing_pydicom_is_named(dicom, monkeypatch):
    data = dicom(RAMP)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(ReadError, match="pip install pydicom"):
        read_film(data)


def test_real_films_of_one_person_are_exact_inverses(samples):
    one, two = (read_film(samples / "dicom" / f"chest_monochrome{kind}_jpeg.dcm") for kind in (1, 2))
    assert np.array_equal(one, 255 - two)


@pytest.mark.parametrize("name", ["chest_monochrome2_jpeg", "chest_pa_monochrome1_jpeg2000"])
def test_bone_is_bright_in_real_films(samples, name):
    film = read_film(samples / "dicom" / f"{name}.dcm")
    height, width = film.shape
    band = film[height // 3 : height // 2]  # the spine, and the lung beside it
    assert band[:, int(0.47 * width) : int(0.53 * width)].mean() > band[:, int(0.22 * width) : int(0.35 * width)].mean()
