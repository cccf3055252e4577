"""Chest studies as DICOM files: the phantom's films with the tags that a hospital's files have."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    generate_uid,
)

from datamodules.sources.phantom.studies import draw_study

ORIENTATIONS = {"frontal": ["L", "F"], "lateral": ["A", "F"]}


def phantom_dicom(index: int, size: int = 64, compress: bool = False, **tags: object) -> list[bytes]:
    """The films of one study of the phantom as DICOM files.

    Args:
        index: of the study; it also names the patient.
        size: side of the films in pixels.
        compress: store them as JPEG 2000.
        tags: further tags of every film.
    """
    study = draw_study("test", index, size=size)
    shared = {
        "PatientID": f"P{index:04}",
        "PatientName": f"Müller^Person {index}",
        "PatientBirthDate": "19501231",
        "PatientSex": "F",
        "StudyInstanceUID": generate_uid(entropy_srcs=["study", str(index)]),
        "SeriesInstanceUID": generate_uid(entropy_srcs=["series", str(index)]),
        "AccessionNumber": f"A{index}",
        "StudyID": str(index),
        "StudyDate": "20261130",
        "StudyTime": "101500",
        "SeriesNumber": 1,
        "BurnedInAnnotation": "NO",
        **tags,
    }
    films = []
    for number, view in enumerate(study.views, 1):
        pixels = np.asarray(Image.open(io.BytesIO(bytes(view.image))))  # type: ignore[arg-type]
        own = {
            "SOPInstanceUID": generate_uid(entropy_srcs=["film", str(index), str(number)]),
            "InstanceNumber": number,
            "PatientOrientation": ORIENTATIONS[view.projection],
            "ViewPosition": "PA" if view.projection == "frontal" else "LL",
        }
        films.append(dicom_film(pixels, {**own, **shared}, compress))
    return films


def dicom_film(pixels: np.ndarray, tags: Mapping[str, object], compress: bool = False) -> bytes:
    """One film of 8-bit pixels ``[h w]``."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = tags["SOPInstanceUID"]
    meta.TransferSyntaxUID = JPEG2000Lossless if compress else ExplicitVRLittleEndian
    film = FileDataset("film.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    film.SpecificCharacterSet = "ISO_IR 100"
    film.SOPClassUID, film.Modality = meta.MediaStorageSOPClassUID, "DX"
    film.BodyPartExamined = "CHEST"
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.Rows, film.Columns = pixels.shape
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 8, 8, 7, 0
    film.PixelIntensityRelationship, film.PixelIntensityRelationshipSign = "LOG", -1
    for keyword, value in tags.items():
        setattr(film, keyword, value)
    if compress:
        frame = io.BytesIO()
        Image.fromarray(pixels).save(frame, "JPEG2000", no_jp2=True)
        film.PixelData = encapsulate([frame.getvalue()])
        film["PixelData"].VR, film["PixelData"].is_undefined_length = "OB", True
    else:
        film.PixelData = pixels.tobytes()
        film["PixelData"].VR = "OB"
    file = io.BytesIO()
    pydicom.dcmwrite(file, film, enforce_file_format=True)
    return file.getvalue()


def uids_of(films: Sequence[bytes]) -> list[str]:
    """The SOPInstanceUIDs of films."""
    return [str(pydicom.dcmread(io.BytesIO(film), stop_before_pixels=True).SOPInstanceUID) for film in films]
