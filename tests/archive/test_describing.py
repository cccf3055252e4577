"""One study of an archive, without the archive."""

from __future__ import annotations

import io

import pydicom
import pytest

from ammrg.archive.describing import content_fingerprint, described_documents
from ammrg.documents.identifiers import new_identifiers
from ammrg.errors import ReadError
from ammrg.inference.report_generator import ReportGenerator
from tests.dicom_studies import phantom_dicom
from tests.documents.test_source_films import retagged
from tests.studies.study_films import FRONT, film


def test_films_of_two_patients_are_numbered_without_those_that_are_no_chest_film(generator: ReportGenerator) -> None:
    films = [
        film("1", "1.2.1", 1, BodyPartExamined="HAND"),
        film("1", "1.2.1", 2, **FRONT),
        film("2", "1.2.1", 3, **FRONT),
    ]
    with pytest.raises(ReadError, match="PatientID differs between film 1 and film 2"):
        described_documents(generator, films, new_identifiers(), [], page=False)


def test_a_films_fingerprint_is_of_its_tags_and_pixels_and_not_of_the_program_that_wrote_it() -> None:
    (film, *_) = phantom_dicom(0)
    by_another = pydicom.dcmread(io.BytesIO(film))
    by_another.file_meta.ImplementationVersionName = "ANOTHER"
    file = io.BytesIO()
    pydicom.dcmwrite(file, by_another, enforce_file_format=True)
    assert file.getvalue() != film
    assert content_fingerprint(file.getvalue()) == content_fingerprint(film)
    assert content_fingerprint(retagged(film, PatientName="Another")) != content_fingerprint(film)
