"""DICOM films and their tags."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import pydicom
import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import Tag

from tests.dicom_films import dicom_film


@pytest.fixture(scope="session")
def dicom() -> Callable[..., bytes]:
    """Make a DICOM radiograph of pixels ``[h w]``; further arguments are tags."""
    return dicom_film


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
