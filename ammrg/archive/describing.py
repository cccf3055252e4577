"""One study of an archive: its films in memory -> its documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import pydicom
from pydicom.dataset import Dataset

from ammrg.archive.server import Instance
from ammrg.documents.identifiers import DocumentIdentifiers
from ammrg.documents.remarks import left_out
from ammrg.documents.source_films import source_films
from ammrg.documents.writing import make_documents
from ammrg.errors import ReadError
from ammrg.fingerprints import bytes_fingerprint
from ammrg.operating_points import BALANCED
from ammrg.studies.grouping import refusal, study_of
from ammrg.studies.in_memory import film_source

if TYPE_CHECKING:
    from ammrg.inference.report_generator import ReportGenerator


class MadeDocuments(NamedTuple):
    """A study's documents, before they are stored."""

    files: dict[str, bytes]
    """File name -> DICOM file."""
    left_out: str
    """Why some of its films were not read; empty where all were."""


def described_documents(
    generator: ReportGenerator,
    films: Sequence[bytes],
    identifiers: DocumentIdentifiers,
    predecessors: Sequence[Instance],
    page: bool,
    setting: float = BALANCED,
) -> MadeDocuments:
    """Describe a study and make its DICOM documents.

    A film that is no chest film, or cannot be decoded, is left out where others remain.

    Args:
        generator: the model.
        films: DICOM files of the study.
        identifiers: the documents' UIDs.
        predecessors: our earlier reports of the study.
        page: also make the encapsulated PDF.
        setting: the operating point, in [0, 1].

    Raises:
        ReadError: no film can be described, or they are of two patients or two studies.
    """
    kept, refused, aside = [], [], []
    for number, film in enumerate(films, 1):
        source = film_source(film, number)
        try:
            study_of([source])
        except ReadError as error:
            refused.append(error)
            aside.append(refusal(source.path, error))
        else:
            kept.append(source)
    if not kept:
        raise refused[0] if refused else ReadError("the study has no film")
    # Numbered anew, so that a sentence about these films never counts one that is left out.
    study = study_of([source._replace(path=f"film {number}") for number, source in enumerate(kept, 1)])
    study.set_aside = (*study.set_aside, *aside)
    description = generator.describe(study, operating_point=setting)
    made = make_documents(
        description,
        source_films(description, films),
        page=page,
        identifiers=identifiers,
        predecessors=[_referenced(instance) for instance in predecessors],
    )
    return MadeDocuments(made.dicom, left_out(description) or "")


def content_fingerprint(film: bytes) -> str:
    """Return a fingerprint of a DICOM file's data set.

    The file meta information is not part of it: in it stands which program wrote the file. Its length stands in its
    first element, the UL at byte 140 (PS3.10, 7.1).
    """
    return bytes_fingerprint(film[144 + int.from_bytes(film[140:144], "little") :])


def instance_in(document: Dataset) -> Instance:
    """Return the UIDs of a document."""
    return Instance(str(document.StudyInstanceUID), str(document.SeriesInstanceUID), str(document.SOPInstanceUID))


def _referenced(instance: Instance) -> Dataset:
    earlier = pydicom.Dataset()
    earlier.StudyInstanceUID, earlier.SeriesInstanceUID = instance.study, instance.series
    earlier.SOPInstanceUID, earlier.SOPClassUID = instance.sop, instance.sop_class or pydicom.uid.EnhancedSRStorage
    return earlier
