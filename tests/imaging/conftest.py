"""DICOM files made here, and where real samples would be."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    generate_uid,
)

SAMPLES = Path(os.environ.get("AMMRG_SAMPLES", Path(__file__).parents[3] / "shared" / "data" / "samples"))


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real films, ``dicom/`` and ``native_png/``; they never enter the repository."""
    if not SAMPLES.is_dir():
        pytest.skip(f"no real samples at {SAMPLES}; AMMRG_SAMPLES names their folder")
    return SAMPLES


@pytest.fixture(scope="session")
def dicom() -> Callable[..., bytes]:
    """Make a DICOM radiograph of pixels ``[h w]``; further arguments are tags."""

    def make(pixels: np.ndarray, bits: int = 12, compress: str | None = None, **tags: object) -> bytes:
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["film"])
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data = FileDataset("film.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.Modality, data.PhotometricInterpretation, data.SamplesPerPixel = "DX", "MONOCHROME2", 1
        data.Rows, data.Columns = pixels.shape[-2:]
        data.BitsAllocated = 8 * pixels.dtype.itemsize
        data.BitsStored, data.HighBit = bits, bits - 1
        data.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
        data.PixelData = pixels.tobytes()
        data["PixelData"].VR = "OW" if data.BitsAllocated == 16 else "OB"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that the standard does not allow, and films have
            for name, value in tags.items():
                setattr(data, name, value)
        if compress == "rle":
            data.compress(RLELossless, pixels, generate_instance_uid=False)
        elif compress is not None:
            frame = io.BytesIO()
            if compress == "jpeg":
                meta.TransferSyntaxUID = JPEGBaseline8Bit
                Image.fromarray(pixels).save(frame, "JPEG", quality=95)
            else:
                meta.TransferSyntaxUID = JPEG2000Lossless
                Image.fromarray(pixels).save(frame, "JPEG2000", no_jp2=True)
            data.PixelData = encapsulate([frame.getvalue()])
            data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
        file = io.BytesIO()
        pydicom.dcmwrite(file, data, enforce_file_format=True)
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def retag() -> Callable[..., bytes]:
    """Write tags of a DICOM file as they are given, sense or not: a pair (value representation, bytes), or a list of
    such dictionaries, the items of a sequence."""

    def element(keyword: str, content: object) -> RawDataElement | DataElement:
        tag = Tag(tag_for_keyword(keyword))
        if isinstance(content, list):
            return DataElement(tag, "SQ", pydicom.Sequence([dataset(item) for item in content]))
        vr, value = content
        return RawDataElement(tag, vr, len(value), value, 0, False, True)

    def dataset(contents: dict[str, object], into: pydicom.Dataset | None = None) -> pydicom.Dataset:
        tags = pydicom.Dataset() if into is None else into
        for keyword, content in contents.items():
            tags[tag_for_keyword(keyword)] = element(keyword, content)
        return tags

    def write(data: bytes, **contents: object) -> bytes:
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pydicom.dcmwrite(file, dataset(contents, pydicom.dcmread(io.BytesIO(data))), enforce_file_format=True)
        return file.getvalue()

    return write
