"""One study of an archive, without the archive."""

from __future__ import annotations

import pytest

from ammrg.archive.describing import described_documents
from ammrg.documents.identifiers import new_identifiers
from ammrg.errors import ReadError
from ammrg.inference.report_generator import ReportGenerator
from tests.studies.study_films import FRONT, film


def test_films_of_two_patients_are_numbered_without_those_that_are_no_chest_film(generator: ReportGenerator) -> None:
    films = [
        film("1", "1.2.1", 1, BodyPartExamined="HAND"),
        film("1", "1.2.1", 2, **FRONT),
        film("2", "1.2.1", 3, **FRONT),
    ]
    with pytest.raises(ReadError, match="PatientID differs between film 1 and film 2"):
        described_documents(generator, films, new_identifiers(), [], page=False)
