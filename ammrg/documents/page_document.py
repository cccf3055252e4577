"""The page of a description (films, maps, report, notice) as an encapsulated PDF."""

from __future__ import annotations

import tempfile
from pathlib import Path

from highdicom.base import SOPClass
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from ammrg.documents.concepts import REPORT_TITLE, concept
from ammrg.documents.identifiers import DocumentIdentifiers
from ammrg.documents.map_image import burned_in, source_item
from ammrg.documents.quiet import quiet_libraries
from ammrg.documents.source_films import UTF_8, SourceFilms
from ammrg.documents.statement import DEVICE_MODEL, MANUFACTURER, PDF_SERIES, VERSION, series_description
from ammrg.imaging.panel import CasePage, draw_case
from ammrg.inference.description import Description

SERIES_NUMBER = 9903


def page_pdf(page: CasePage) -> bytes:
    """Draw the page as a PDF of one page."""
    with tempfile.TemporaryDirectory() as folder:
        return draw_case(page, Path(folder) / "page.pdf").read_bytes()


def page_document(
    description: Description, films: SourceFilms, identifiers: DocumentIdentifiers, corrects: bool = False
) -> Dataset:
    """Make the encapsulated PDF.

    BurnedInAnnotation, which it must have, is ``NO`` only where all films say so of themselves.

    Args:
        description: of the study.
        films: of the study.
        identifiers: the document's UIDs.
        corrects: whether an earlier report of the study is corrected.
    """
    first = films.read[0]
    pdf = page_pdf(description.page)
    with quiet_libraries():
        document = SOPClass(
            study_instance_uid=first.StudyInstanceUID,
            series_instance_uid=identifiers.page_series,
            series_number=SERIES_NUMBER,
            sop_instance_uid=identifiers.page,
            sop_class_uid=EncapsulatedPDFStorage,
            instance_number=1,
            modality="DOC",
            manufacturer=MANUFACTURER,
            manufacturer_model_name=DEVICE_MODEL,
            software_versions=VERSION,
            device_serial_number=description.model or "unknown",
            series_description=series_description(PDF_SERIES, description.operating_point, corrects),
            patient_id=first.PatientID,
            patient_name=first.PatientName,
            patient_birth_date=first.PatientBirthDate or None,
            patient_sex=first.PatientSex,
            accession_number=first.AccessionNumber,
            study_id=first.StudyID,
            study_date=first.StudyDate or None,
            study_time=first.StudyTime or None,
            referring_physician_name=first.ReferringPhysicianName,
            transfer_syntax_uid=ExplicitVRLittleEndian,
            specific_character_set=UTF_8,
        )
        document.copy_patient_and_study_information(first)
        document.ConversionType = "WSD"
        document.AcquisitionDateTime = ""
        document.BurnedInAnnotation = burned_in(films.read) or "YES"
        document.SourceInstanceSequence = [source_item(film) for film in films.read]
        document.DocumentTitle = "AM-MRG report, research use only, machine-generated"
        document.ConceptNameCodeSequence = [concept(REPORT_TITLE)]
        document.VerificationFlag = "UNVERIFIED"
        document.MIMETypeOfEncapsulatedDocument = "application/pdf"
        document.EncapsulatedDocumentLength = len(pdf)
        document.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return document
