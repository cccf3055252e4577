"""The DICOM films that a description came from: the tags that documents about them repeat, checked and cleaned."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import pydicom
from pydicom.dataset import Dataset
from pydicom.valuerep import DA, TM

from ammrg.documents.quiet import quiet_libraries
from ammrg.errors import DocumentError
from ammrg.imaging.dicom_start import whole_file
from ammrg.inference.description import Description

UTF_8 = "ISO_IR 192"
"""SpecificCharacterSet of every document."""
UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
TEXTS = {
    "PatientID": 64,
    "PatientName": 320,
    "ReferringPhysicianName": 320,
    "AccessionNumber": 16,
    "StudyID": 16,
}
"""Attributes that are copied as text, and their greatest length in characters (PS3.5, table 6.2-1)."""
OPTIONAL = {"IssuerOfPatientID": 64, "StudyDescription": 64, "BurnedInAnnotation": 16}
"""Attributes that are left out where the film lacks them."""
MOMENTS: dict[str, Any] = {"PatientBirthDate": DA, "StudyDate": DA, "StudyTime": TM}
SEXES = ("M", "F", "O")


class SourceFilms(NamedTuple):
    """The films of one study of one patient, as data sets without pixels that hold only what documents repeat."""

    read: tuple[Dataset, ...]
    """Those that the network read, in its order: the same as the films of the description's page."""
    others: tuple[Dataset, ...]
    """Films of the description that the network did not read, such as lateral ones for a frontal model."""

    @property
    def all(self) -> tuple[Dataset, ...]:
        """All films, those that were read first."""
        return self.read + self.others


def source_films(description: Description, files: Iterable[bytes]) -> SourceFilms:
    """Find the films of a description among DICOM files, by their SOPInstanceUID.

    Args:
        description: of the study.
        files: the bytes of its films, in any order; files that are no films of the description are passed over.

    Raises:
        DocumentError: a film is not DICOM, lacks a UID, or is not among the files; or the films are of two patients or
            two studies.
    """
    if not description.views:
        raise DocumentError("the description names no film, so no DICOM document can refer to one")
    for view in description.views:
        if view.dicom is None:
            raise DocumentError(no_dicom(view.path))
    found = {header.SOPInstanceUID: header for header in map(_header, files) if header is not None}
    headers = []
    for view in description.views:
        assert view.dicom is not None
        header = found.get(view.dicom.sop_instance_uid)
        if header is None:
            raise DocumentError(f"{view.path}: its file is not among those given; give the files that were described")
        headers.append((view, header))
    for (first, one), (second, other) in itertools.combinations(headers, 2):
        if differs := _differs(one, other):
            raise DocumentError(
                f"{first.path} and {second.path}: {differs} differs; a document is about one study of one patient: "
                "describe each study by itself"
            )
    read = tuple(header for view, header in headers if view.is_read)
    return SourceFilms(read, tuple(header for view, header in headers if not view.is_read))


def no_dicom(path: str) -> str:
    """Say that a film is not DICOM."""
    return (
        f"{path}: not a DICOM film with all its UIDs, so no DICOM document can refer to it; describe DICOM files, or "
        "leave out --dicom"
    )


def _differs(one: Dataset, other: Dataset) -> str | None:
    """Name an attribute by which two films are of two studies or two patients; None: they are of one, as far as known.

    Names are compared only where an id is missing: people write a name in many ways.
    """
    if one.StudyInstanceUID != other.StudyInstanceUID:
        return "StudyInstanceUID"
    named = ("PatientID", "IssuerOfPatientID") if one.PatientID and other.PatientID else ("PatientName",)
    for keyword in (*named, "PatientBirthDate"):
        values = str(one.get(keyword) or ""), str(other.get(keyword) or "")
        if values[0] != values[1] and all(values):
            return str(keyword)
    return None


def _header(data: bytes) -> Dataset | None:
    """Read what documents repeat of a film's tags; None: it is no DICOM file, or lacks a UID."""
    whole = whole_file(data)
    if whole is None:
        return None
    with quiet_libraries():
        tags = pydicom.dcmread(io.BytesIO(whole), stop_before_pixels=True)
        header = Dataset()
        for keyword in UIDS:
            uid = str(tags.get(keyword) or "")
            if not uid:
                return None
            setattr(header, keyword, uid)
        for keyword, length in (TEXTS | OPTIONAL).items():
            text = str(tags.get(keyword) or "").strip()[:length]
            if text or keyword in TEXTS:
                setattr(header, keyword, text)
        for keyword, kind in MOMENTS.items():
            setattr(header, keyword, _moment(tags, keyword, kind))
        sex = str(tags.get("PatientSex") or "").strip().upper()
        header.PatientSex = sex if sex in SEXES else ""
        orientation = tags.get("PatientOrientation")
        if orientation and not isinstance(orientation, str):
            header.PatientOrientation = [str(each) for each in orientation]
    return header


def _moment(tags: Dataset, keyword: str, kind: Any) -> str:
    """Read a date or time; empty where it is none."""
    text = str(tags.get(keyword) or "").strip()
    try:
        kind(text)
    except ValueError:
        return ""
    return text
