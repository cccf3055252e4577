"""DICOM radiographs as a viewer shows them; the tags decide, and what is no radiograph is refused politely."""

from __future__ import annotations

import importlib
import io
import os
import random
import time
from pathlib import Path

import numpy as np
import pytest

from ammrg.errors import ReadError
from ammrg.imaging.reading import read_film

pydicom = pytest.importorskip("pydicom")

SAMPLES = Path(
    os.environ.get("AMMRG_DICOM_SAMPLES", Path(__file__).parents[3] / "shared" / "data" / "samples" / "dicom")
)
RAMP = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (48, 1))


def dicom(pixels: np.ndarray, bits: int = 12, compress: str | None = None, **tags: object) -> bytes:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, RLELossless, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("film.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, data.PhotometricInterpretation, data.SamplesPerPixel = "DX", "MONOCHROME2", 1
    data.Rows, data.Columns = pixels.shape[-2:]
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored, data.HighBit = bits, bits - 1
    data.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    data.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    if compress == "rle":
        data.compress(RLELossless, pixels)
    file = io.BytesIO()
    pydicom.dcmwrite(file, data, enforce_file_format=True)
    return file.getvalue()


def expected(pixels: np.ndarray, center: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2 as its pseudo-code writes it, for 0..255."""
    values = pixels.astype(float)
    ramp = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    return np.rint(np.where(values <= low, 0, np.where(values > high, 255, ramp)))


def test_without_a_window_deep_pixels_fill_the_range():
    film = read_film(dicom(RAMP))
    assert film.shape == RAMP.shape
    assert (film.min(), film.max()) == (0, 255)
    assert (np.diff(film[0].astype(int)) >= 0).all()


def test_monochrome1_is_the_exact_inverse():
    data = {kind: read_film(dicom(RAMP, PhotometricInterpretation=kind)) for kind in ("MONOCHROME1", "MONOCHROME2")}
    assert np.array_equal(data["MONOCHROME1"], 255 - data["MONOCHROME2"])


def test_eight_bits_stay_as_they_are():
    pixels = np.tile(np.arange(10, 200, dtype=np.uint8), (20, 1))
    assert np.array_equal(read_film(dicom(pixels, bits=8)), pixels)


@pytest.mark.parametrize(("center", "width"), [(2048, 1024), ([1000, 3000], [500, 100]), ("700", "2")])
def test_the_first_window_is_applied(center, width):
    film = read_film(dicom(RAMP, WindowCenter=center, WindowWidth=width))
    first = (float(center[0]), float(width[0])) if isinstance(center, list) else (float(center), float(width))
    assert np.abs(film - expected(RAMP, *first)).max() <= 1


def test_rescale_comes_before_the_window():
    film = read_film(dicom(RAMP, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=1000, WindowWidth=2000))
    assert np.abs(film - expected(RAMP.astype(int) * 2 - 1000, 1000, 2000)).max() <= 1


def test_signed_pixels():
    film = read_film(dicom((RAMP.astype(np.int32) - 2000).astype(np.int16), bits=16))
    assert np.array_equal(film, read_film(dicom(RAMP)))


def test_sigmoid_window():
    film = read_film(dicom(RAMP, WindowCenter=2048, WindowWidth=1000, VOILUTFunction="SIGMOID"))
    assert np.abs(film - 255 / (1 + np.exp(-4 * (RAMP.astype(float) - 2048) / 1000))).max() <= 1


def test_lookup_table():
    table = pydicom.Dataset()
    table.LUTDescriptor = [4096, 0, 12]
    table.LUTData = np.arange(4095, -1, -1, dtype=np.uint16).tobytes()
    table["LUTDescriptor"].VR = "US"
    table["LUTData"].VR = "OW"
    film = read_film(dicom(RAMP, VOILUTSequence=pydicom.Sequence([table]), WindowCenter=1, WindowWidth=1))
    assert np.abs(film - (4095 - RAMP.astype(float)) / 4095 * 255).max() <= 1


def test_padding_is_black_and_does_not_stretch_the_range():
    pixels = RAMP.copy()
    pixels[:, :10] = 60_000
    film = read_film(dicom(pixels, bits=16, PixelPaddingValue=60_000, PhotometricInterpretation="MONOCHROME1"))
    assert film[:, :10].max() == 0
    assert (film[:, 10:].min(), film[:, 10:].max()) == (0, 255)


def test_run_length_encoding():
    assert np.array_equal(read_film(dicom(RAMP, compress="rle")), read_film(dicom(RAMP)))


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Modality": "CT"}, "Modality is CT"),
        ({"NumberOfFrames": 3}, "3 frames"),
        ({"PhotometricInterpretation": "RGB"}, "PhotometricInterpretation is RGB"),
        ({"Rows": 60_000, "Columns": 60_000}, "pixels, more than"),
        ({"Rows": 0}, "without pixels"),
        ({"WindowCenter": 10, "WindowWidth": 0}, "WindowWidth is 0"),
    ],
)
def test_what_is_no_film_is_refused(tmp_path, tags, reason):
    path = tmp_path / "other.dcm"
    path.write_bytes(dicom(RAMP, **tags))
    with pytest.raises(ReadError, match=reason) as caught:
        read_film(path)
    assert "other.dcm" in str(caught.value)


def test_two_hundred_corrupted_files_give_a_film_or_a_read_error():
    draw = random.Random(0)
    outcomes = set()
    for number in range(200):
        data = bytearray(dicom(RAMP, compress="rle" if number % 2 else None))
        for _ in range(draw.randrange(1, 10)):
            data[draw.randrange(128, draw.choice((900, len(data))))] ^= 1 << draw.randrange(8)
        started = time.perf_counter()
        try:
            assert read_film(bytes(data)).ndim == 2
            outcomes.add("film")
        except ReadError:
            outcomes.add("refused")
        assert time.perf_counter() - started < 1.0
    assert outcomes == {"film", "refused"}


def test_truncated_files_and_a_missing_pydicom(monkeypatch):
    data = dicom(RAMP)
    for length in (140, 400, len(data) - 100):
        with pytest.raises(ReadError):
            read_film(data[:length])
    original = importlib.import_module

    def without(name: str, package: str | None = None) -> object:
        if name.startswith("pydicom"):
            raise ImportError(name)
        return original(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ReadError, match="pip install"):
        read_film(data)


@pytest.mark.skipif(
    not SAMPLES.is_dir(), reason=f"no DICOM samples at {SAMPLES}; AMMRG_DICOM_SAMPLES names their folder"
)
def test_real_samples_have_their_polarity():
    one, two = (read_film(SAMPLES / f"chest_monochrome{kind}_jpeg.dcm") for kind in (1, 2))
    assert np.array_equal(one, 255 - two)
    deep = read_film(SAMPLES / "chest_pa_monochrome1_jpeg2000.dcm")
    for film in (two, deep):  # the spine is brighter than the lungs beside it
        height, width = film.shape
        band = film[height // 3 : height // 2]
        assert (
            band[:, int(0.47 * width) : int(0.53 * width)].mean()
            > band[:, int(0.22 * width) : int(0.35 * width)].mean()
        )
