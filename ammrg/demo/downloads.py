"""The files of a description that a person takes away: JSON, PDF, and the documents for hospital systems."""

from __future__ import annotations

import io
import json
import zipfile
from typing import NamedTuple

from ammrg.demo.cases import Case
from ammrg.documents.page_document import page_pdf
from ammrg.documents.source_films import source_films
from ammrg.documents.writing import FHIR, make_documents
from ammrg.errors import DocumentError
from ammrg.inference.description import Description
from ammrg.service.limits import Refusal


class Download(NamedTuple):
    """A file."""

    content: bytes
    kind: str
    """Its media type."""


def report_json(case: Case, description: Description) -> Download:
    """Return report.json, as ``ammrg describe`` writes it."""
    text = json.dumps(description.as_json(), indent=2, sort_keys=True) + "\n"
    return Download(text.encode(), "application/json")


def report_pdf(case: Case, description: Description) -> Download:
    """Return the page of ``ammrg describe`` as a PDF."""
    return Download(page_pdf(description.page), "application/pdf")


def documents_zip(case: Case, description: Description) -> Download:
    """Return an archive of the DICOM and FHIR documents.

    Raises:
        Refusal: 422, a film is not DICOM, or the films were mirrored.
    """
    if description.mirrored:
        raise Refusal(422, "films that were mirrored have no DICOM documents: their sides are not the patient's")
    try:
        files = (film.source.read() for film in case.study.films)
        documents = make_documents(description, source_films(description, files), page=True)
    except DocumentError as error:
        raise Refusal(422, str(error)) from error
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in documents.dicom.items():
            archive.writestr(name, content)
        archive.writestr(FHIR, json.dumps(documents.fhir, indent=2))
    return Download(file.getvalue(), "application/zip")


DOWNLOADS = {"report.json": report_json, "report.pdf": report_pdf, "documents.zip": documents_zip}
"""Name of a file -> what makes it."""
