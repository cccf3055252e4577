"""Films that documents refer to: of one study and one patient, with cleaned tags."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pydicom
import pytest

from ammrg.documents.quiet import quiet_libraries
from ammrg.documents.source_films import SourceFilms, source_films
from ammrg.errors import DocumentError
from ammrg.inference.description import Description


def retagged(data: bytes, remove: Sequence[str] = (), **tags: object) -> bytes:
    """The same file with other tags."""
    with quiet_libraries():
        changed = pydicom.dcmread(io.BytesIO(data))
        for keyword in remove:
            delattr(changed, keyword)
        for keyword, value in tags.items():
            setattr(changed, keyword, value)
        file = io.BytesIO()
        pydicom.dcmwrite(file, changed, enforce_file_format=True)
    return file.getvalue()


def test_films_come_in_the_order_in_which_they_were_read(sources: SourceFilms, description: Description) -> None:
    references = [view.dicom for view in description.views]
    assert [film.SOPInstanceUID for film in sources.read] == [each.sop_instance_uid for each in references if each]
    assert sources.others == ()
    assert str(sources.read[0].PatientName) == "Müller^Person 0"
    assert "PixelData" not in sources.read[0]


def test_a_film_that_was_not_read_is_evidence_after_the_others(description: Description, films: list[bytes]) -> None:
    first, second = description.views
    found = source_films(description._replace(views=(first._replace(is_read=False), second)), films)
    assert [len(found.read), len(found.others)] == [1, 1]
    assert second.dicom is not None
    assert found.all[0].SOPInstanceUID == second.dicom.sop_instance_uid


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        ({"PatientID": "P9"}, "PatientID"),
        ({"IssuerOfPatientID": "B"}, None),
        ({"PatientID": "", "PatientName": "Other^Person"}, "PatientName"),
        ({"PatientID": ""}, None),
        ({"PatientBirthDate": "19600101"}, "PatientBirthDate"),
        ({"StudyInstanceUID": "1.2.3"}, "StudyInstanceUID"),
    ],
)
def test_films_of_two_patients_or_studies_are_refused(
    description: Description, films: list[bytes], tags: dict[str, str], named: str | None
) -> None:
    if named is None:
        assert len(source_films(description, [films[0], retagged(films[1], **tags)]).read) == 2
        return
    with pytest.raises(DocumentError, match=f"film 1 and film 2: {named} differs; a document is about one study"):
        source_films(description, [films[0], retagged(films[1], **tags)])


def test_a_film_that_is_not_dicom_or_not_there_is_refused(description: Description, films: list[bytes]) -> None:
    picture = description.views[1]._replace(dicom=None, path="b.png")
    with pytest.raises(DocumentError, match=r"b\.png: not a DICOM film with all its UIDs, .* leave out --dicom"):
        source_films(description._replace(views=(description.views[0], picture)), films)
    with pytest.raises(DocumentError, match="film 2: its file is not among those given"):
        source_films(description, films[:1])


def test_values_that_the_standard_forbids_are_left_out(description: Description, films: list[bytes]) -> None:
    wrong = {"PatientSex": "X", "PatientBirthDate": "unknown", "StudyTime": "noon", "AccessionNumber": "7" * 40}
    film = source_films(description, [retagged(film, **wrong) for film in films]).read[0]
    assert (film.PatientSex, film.PatientBirthDate, film.StudyTime, film.AccessionNumber) == ("", "", "", "7" * 16)
