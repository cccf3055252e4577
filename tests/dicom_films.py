"""DICOM films made for tests."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
    generate_uid,
)


def dicom_film(pixels: np.ndarray, bits: int = 12, compress: str | None = None, **tags: object) -> bytes:
    """A DICOM radiograph of pixels ``[h w]``; further arguments are tags."""
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
