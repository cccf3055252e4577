"""What changes in the archive under the same UIDs: films, tags and documents, against a real Orthanc."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest

from ammrg.archive.server import Archive
from ammrg.errors import ArchiveError
from tests.archive.conftest import Look
from tests.archive.orthanc import Orthanc
from tests.archive.test_loop import study_of
from tests.dicom_studies import phantom_dicom, uids_of
from tests.documents.test_source_films import retagged

pytestmark = pytest.mark.slow


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the archive is asked for, beyond its list of studies."""
    names: list[str] = []

    def counted(name: str, original: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            names.append(name)
            return original(*args, **kwargs)

        return call

    for name in ("contents", "fetch"):
        monkeypatch.setattr(Archive, name, counted(name, getattr(Archive, name)))
    return names


def documents(orthanc: Orthanc, study: str) -> list[pydicom.Dataset]:
    return orthanc.documents().get(study, [])


def uids(files: list[pydicom.Dataset]) -> set[str]:
    return {str(file.SOPInstanceUID) for file in files}


def predecessors(files: list[pydicom.Dataset]) -> set[str]:
    return {
        str(each.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for file in files
        for study in file.get("PredecessorDocumentsSequence", [])
        for each in study.ReferencedSeriesSequence
    }


def test_after_its_documents_are_stored_a_study_is_not_asked_for_again(
    orthanc: Orthanc, look: Look, asked: list[str]
) -> None:
    orthanc.put(*phantom_dicom(0))
    assert look() == {"stored": 1}
    asked.clear()
    assert look() == {"known": 1}
    assert asked == []


def test_a_study_of_two_patients_is_described_once_its_tags_are_corrected(orthanc: Orthanc, look: Look) -> None:
    first, second = next(found for index in range(40) if len(found := phantom_dicom(index)) == 2)
    wrong = retagged(second, PatientID="OTHER")
    orthanc.put(first, wrong)
    assert look() == {"set aside": 1}
    assert look() == {"known": 1}
    orthanc.remove(*uids_of([wrong]))
    orthanc.put(second)
    assert look() == {"stored": 1}
    assert look() == {"known": 1}
    assert {file.Modality for file in documents(orthanc, study_of([first]))} == {"SR", "OT"}


@pytest.mark.parametrize("with_documents", [True, False])
def test_a_study_that_moves_to_the_right_patient_has_new_documents(
    orthanc: Orthanc, look: Look, with_documents: bool
) -> None:
    films = phantom_dicom(0)
    orthanc.put(*films)
    assert look() == {"stored": 1}
    earlier = documents(orthanc, study_of(films))
    orthanc.remove(*uids_of(films), *(uids(earlier) if with_documents else ()))
    orthanc.put(*(retagged(film, PatientID="RIGHT", PatientName="Right^Patient") for film in films))
    assert look() == {"stored": 1}
    assert look() == {"known": 1}
    anew = [file for file in documents(orthanc, study_of(films)) if file.PatientID == "RIGHT"]
    assert {file.Modality for file in anew} == {"SR", "OT"}
    assert {str(file.PatientName) for file in anew} == {"Right^Patient"}
    assert not uids(anew) & uids(earlier)
    reports = {file.SOPInstanceUID for file in earlier if file.Modality == "SR"}
    assert predecessors(anew) == (set() if with_documents else reports)


def test_another_picture_under_the_same_uids_is_described_when_asked_for(orthanc: Orthanc, look: Look) -> None:
    films = phantom_dicom(0)
    orthanc.put(*films)
    assert look() == {"stored": 1}
    earlier = documents(orthanc, study_of(films))
    orthanc.remove(*uids_of(films))
    orthanc.put(*(retagged(film, PixelData=pixels(film)[::-1]) for film in films))
    assert look() == {"known": 1}  # the list of studies is as before
    assert look(again=study_of(films)) == {"stored": 1}
    anew = documents(orthanc, study_of(films))
    assert len(anew) == 2 * len(earlier)
    assert predecessors(anew) == {file.SOPInstanceUID for file in earlier if file.Modality == "SR"}
    assert look() == {"known": 1}
    assert look(again=study_of(films)) == {"known": 1}


def pixels(film: bytes) -> bytes:
    return bytes(pydicom.dcmread(io.BytesIO(film)).PixelData)


def test_the_same_films_again_after_the_state_was_lost(orthanc: Orthanc, look: Look) -> None:
    films = phantom_dicom(0)
    orthanc.put(*films)
    assert look() == {"stored": 1}
    count = orthanc.count()
    assert look(state="lost") == {"known": 1}
    assert orthanc.count() == count
    orthanc.remove(*uids_of(films))
    orthanc.put(*(retagged(film, PatientSex="M") for film in films))
    assert look(state="lost again") == {"stored": 1}


def test_what_is_no_film_of_ours_beside_the_films_changes_nothing(
    orthanc: Orthanc, look: Look, asked: list[str]
) -> None:
    films = phantom_dicom(0)
    orthanc.put(*films)
    assert look() == {"stored": 1}
    before = documents(orthanc, study_of(films))
    orthanc.put(retagged(films[0], Modality="OT", SeriesInstanceUID="2.25.8", SOPInstanceUID="2.25.9"))
    assert look() == {"known": 1}
    assert "fetch" in asked
    asked.clear()
    assert look() == {"known": 1}
    assert asked == []
    assert uids(documents(orthanc, study_of(films))) == uids(before) | {"2.25.9"}


def test_documents_that_were_removed_do_not_come_back_by_themselves(orthanc: Orthanc, look: Look) -> None:
    films = phantom_dicom(0)
    orthanc.put(*films)
    assert look() == {"stored": 1}
    orthanc.remove(*uids(documents(orthanc, study_of(films))))
    assert look() == {"known": 1}
    assert documents(orthanc, study_of(films)) == []
    assert look(again=study_of(films)) == {"stored": 1}


def test_a_record_of_an_earlier_version_is_believed(orthanc: Orthanc, look: Look, tmp_path: Path) -> None:
    orthanc.put(*phantom_dicom(0))
    assert look() == {"stored": 1}
    (path,) = (tmp_path / "state" / "studies").iterdir()
    record = json.loads(path.read_text())
    del record["named"], record["content"]
    path.write_text(json.dumps(record | {"instances": 1}))
    assert look() == {"known": 1}


def test_a_study_that_the_archive_does_not_have_cannot_be_described_again(orthanc: Orthanc, look: Look) -> None:
    with pytest.raises(ArchiveError, match="lists no study with CR or DX under the UID given with --again"):
        look(again="1.2.3")
