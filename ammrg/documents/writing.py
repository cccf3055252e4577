"""All documents of a description, made together and written into a folder."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pydicom
from pydicom.dataset import Dataset

from ammrg.atomic import PRIVATE, write_atomically, write_json
from ammrg.documents.diagnostic_report import diagnostic_report
from ammrg.documents.identifiers import DocumentIdentifiers, new_identifiers
from ammrg.documents.map_image import map_image
from ammrg.documents.page_document import page_document, page_pdf
from ammrg.documents.quiet import quiet_libraries
from ammrg.documents.source_films import SourceFilms, no_dicom, source_films
from ammrg.documents.structured_report import structured_report
from ammrg.errors import DocumentError
from ammrg.inference.description import Description
from ammrg.studies.grouping import StudyFilms

REPORT, MAPS, PAGE, FHIR = "report.dcm", "maps.dcm", "page.dcm", "diagnostic_report.json"


class Documents(NamedTuple):
    """The documents of one description."""

    dicom: dict[str, bytes]
    """File name -> DICOM file: :data:`REPORT`, :data:`MAPS`, and :data:`PAGE` where it was asked for."""
    fhir: dict[str, Any]
    """The DiagnosticReport."""


def make_documents(
    description: Description,
    films: SourceFilms,
    *,
    page: bool = False,
    identifiers: DocumentIdentifiers | None = None,
    predecessors: Sequence[Dataset] = (),
) -> Documents:
    """Make all documents of a description.

    Args:
        description: of the study.
        films: of the study, see :func:`ammrg.documents.source_films.source_films`.
        page: also make the encapsulated PDF, and attach the PDF to the DiagnosticReport.
        identifiers: the documents' UIDs; default: new ones.
        predecessors: earlier structured reports that this one corrects: data sets with their four UIDs.

    Raises:
        DocumentError: a predecessor is of another study.
    """
    uids = new_identifiers() if identifiers is None else identifiers
    for earlier in predecessors:
        check_predecessor(earlier, films.read[0].StudyInstanceUID)
    made: dict[str, Dataset] = {
        REPORT: structured_report(description, films, uids, predecessors),
        MAPS: map_image(description, films, uids, bool(predecessors)),
    }
    if page:
        made[PAGE] = page_document(description, films, uids, bool(predecessors))
    fhir = diagnostic_report(description, films, page_pdf(description.page) if page else None)
    return Documents({name: encoded(document) for name, document in made.items()}, fhir)


def write_documents(documents: Documents, folder: Path) -> list[Path]:
    """Write the documents into a folder, each whole or not at all, for their owner alone, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in documents.dicom.items():
        write_atomically(folder / name, content, PRIVATE)
    write_json(folder / FHIR, documents.fhir, PRIVATE)
    return [folder / name for name in (*documents.dicom, FHIR)]


def check_studies(studies: Sequence[StudyFilms]) -> None:
    """Refuse studies of which none has DICOM films alone.

    Raises:
        DocumentError: names the first film that is not DICOM.
    """
    others = [next((film for film in study.films if film.view.dicom is None), None) for study in studies]
    if studies and None not in others:
        raise DocumentError(no_dicom(next(film.view.path for film in others if film is not None)))


def check_predecessor(earlier: Dataset, study_uid: str) -> None:
    """Refuse an earlier structured report of another study.

    Raises:
        DocumentError: it is one.
    """
    if earlier.StudyInstanceUID != study_uid:
        raise DocumentError("the structured report to correct is of another study; name one of this study")


def write_study(
    description: Description, study: StudyFilms, folder: Path, *, page: bool, predecessors: Sequence[Dataset]
) -> list[Path]:
    """Make the documents of a study that was described and write them into its folder; see :func:`make_documents`.

    Raises:
        DocumentError: a film is not DICOM, or a predecessor is of another study.
    """
    films = source_films(description, (film.source.read() for film in study.films))
    return write_documents(make_documents(description, films, page=page, predecessors=predecessors), folder)


def encoded(document: Dataset) -> bytes:
    """Return the bytes of a document's DICOM file."""
    file = io.BytesIO()
    with quiet_libraries():
        pydicom.dcmwrite(file, document, enforce_file_format=True)
    return file.getvalue()


def read_predecessor(path: Path) -> Dataset:
    """Read the UIDs of an earlier structured report.

    Raises:
        DocumentError: the file is no DICOM structured report.
    """
    try:
        with quiet_libraries():
            document = pydicom.dcmread(path, stop_before_pixels=True)
        if document.Modality == "SR" and document.SOPInstanceUID and document.StudyInstanceUID:
            return document
    except Exception as error:  # on a broken file, pydicom raises many types of exception
        raise DocumentError(f"{path}: cannot be read as DICOM ({type(error).__name__}); name a report.dcm") from error
    raise DocumentError(f"{path}: not a DICOM structured report; name a report.dcm")
