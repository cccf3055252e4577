"""The maps of a description as a DICOM secondary capture image."""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.sc.sop import SCImage
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from ammrg.documents.concepts import SOURCE_IMAGE, concept
from ammrg.documents.identifiers import DocumentIdentifiers
from ammrg.documents.quiet import quiet_libraries
from ammrg.documents.source_films import UTF_8, SourceFilms
from ammrg.documents.statement import DEVICE_MODEL, MANUFACTURER, MAP_SERIES, STATEMENT, VERSION, series_description
from ammrg.imaging.map_picture import drawn_findings, map_picture
from ammrg.inference.description import Description

SERIES_NUMBER = 9902


def map_image(
    description: Description, films: SourceFilms, identifiers: DocumentIdentifiers, corrects: bool = False
) -> SCImage:
    """Make the picture of the strongest maps, each drawn on the film that decided its finding.

    Its pixels hold text: finding, probability, threshold, the notice, the page's notes and warnings, nothing about the
    patient. So BurnedInAnnotation, which asks whether pixels identify the patient, is that of the films, and is
    left out where a film does not say.

    Args:
        description: of the study.
        films: of the study.
        identifiers: the image's UIDs.
        corrects: whether an earlier report of the study is corrected.
    """
    page = description.page
    names = drawn_findings(page)
    shown = list(dict.fromkeys(page.map_films.get(name, 0) for name in names))
    sources = [films.read[place] for place in shown]
    first = sources[0]
    with quiet_libraries():
        image = SCImage(
            map_picture(page, [STATEMENT, *page.notes, *page.warnings]),
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "F"),  # highdicom wants one; the true one follows
            study_instance_uid=first.StudyInstanceUID,
            series_instance_uid=identifiers.map_series,
            series_number=SERIES_NUMBER,
            sop_instance_uid=identifiers.map,
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=DEVICE_MODEL,
            software_versions=VERSION,
            device_serial_number=description.model or "unknown",
            series_description=series_description(MAP_SERIES, description.operating_point, corrects),
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
        image.copy_patient_and_study_information(first)
        orientations = {tuple(film.get("PatientOrientation", ())) for film in sources}
        image.PatientOrientation = list(orientations.pop()) if len(orientations) == 1 else []
        image.BodyPartExamined = "CHEST"  # not a paired part, so Laterality must be absent
        image.ConversionType = "WSD"
        image.ImageComments = STATEMENT
        image.DerivationDescription = f"Activation maps of {', '.join(names)} drawn on the film that decided each."
        image.SourceImageSequence = [source_item(film) for film in sources]
        if (said := burned_in(sources)) is not None:
            image.BurnedInAnnotation = said
    return image


def burned_in(films: Sequence[Dataset]) -> str | None:
    """Say whether pixels of films may identify the patient: ``YES``, ``NO``, or None where a film does not say."""
    said = {str(film.get("BurnedInAnnotation", "")).upper() for film in films}
    if "YES" in said:
        return "YES"
    return "NO" if said == {"NO"} else None


def source_item(film: Dataset) -> Dataset:
    """Refer to a film as the source of an image (PS3.3, table 10-11, with its purpose)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = film.SOPClassUID, film.SOPInstanceUID
    item.PurposeOfReferenceCodeSequence = [concept(SOURCE_IMAGE)]
    return item
