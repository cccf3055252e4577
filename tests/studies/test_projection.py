"""The projection of a film and its sides, as DICOM tags say them."""

from __future__ import annotations

import pydicom
import pytest

from ammrg.studies.films import examine
from ammrg.studies.in_memory import film_source
from ammrg.studies.projection import projection_in, sides_in, turned
from tests.studies.study_films import film


def tags(meaning: str = "", **values: object) -> pydicom.Dataset:
    found = pydicom.Dataset()
    for name, value in values.items():
        setattr(found, name, value)
    if meaning:
        code = pydicom.Dataset()
        code.CodeMeaning = meaning
        found.ViewCodeSequence = pydicom.Sequence([code])
    return found


@pytest.mark.parametrize(
    ("found", "name", "why"),
    [
        (tags(ViewPosition="PA"), "frontal", "ViewPosition is PA"),
        (tags(ViewPosition="ap"), "frontal", "ViewPosition is AP"),
        (tags(ViewPosition="LL", PatientOrientation=["L", "F"]), "lateral", "ViewPosition is LL"),
        (tags(ViewPosition="LATERAL"), "lateral", "ViewPosition is LATERAL"),
        (tags(ViewPosition="RLO"), "unknown", "ViewPosition is RLO"),
        (tags("postero-anterior"), "frontal", "ViewCodeSequence is postero-anterior"),
        (tags("left lateral"), "lateral", "ViewCodeSequence is left lateral"),
        (tags("left anterior oblique"), "unknown", "ViewCodeSequence is left anterior oblique"),
        (tags(PatientOrientation=["L", "F"]), "frontal", "PatientOrientation is L\\F"),
        (tags(PatientOrientation=["F", "R"]), "frontal", "PatientOrientation is F\\R"),
        (tags(PatientOrientation=["A", "F"]), "lateral", "PatientOrientation is A\\F"),
        (tags(PatientOrientation=["PL", "F"]), "lateral", "PatientOrientation is PL\\F"),
        (tags(PatientOrientation=["L", "P"]), "unknown", "PatientOrientation is L\\P"),
    ],
)
def test_view_position_comes_first_then_code_then_orientation(found: pydicom.Dataset, name: str, why: str) -> None:
    assert projection_in(found) == (name, why)


@pytest.mark.parametrize(
    "found", [tags(), tags(ViewPosition=""), tags(PatientOrientation=""), tags(PatientOrientation="L")]
)
def test_where_nothing_says_it_none_is_made_up(found: pydicom.Dataset) -> None:
    assert projection_in(found) is None
    view = examine(film_source(film("1", "1.2", 1), 1), 1).view
    assert (view.projection, view.why) == ("frontal", "nothing names its projection: read as frontal")
    assert view.sides == ("R", "L")


@pytest.mark.parametrize(
    ("orientation", "sides", "is_turned"),
    [
        (["L", "F"], ("R", "L"), False),
        (["R", "F"], ("L", "R"), True),
        (["L", "H"], None, True),
        (["F", "L"], None, True),
    ],
)
def test_a_mirrored_film_is_marked_as_it_lies_and_warned_of(
    orientation: list[str], sides: tuple[str, str] | None, is_turned: bool
) -> None:
    assert sides_in(tags(PatientOrientation=orientation)) == sides
    assert (turned(tags(PatientOrientation=orientation), "frontal") is not None) == is_turned
    assert turned(tags(PatientOrientation=orientation), "lateral") is None
    source = film_source(film("1", "1.2", 1, ViewPosition="PA", PatientOrientation=orientation), 1)
    view = examine(source, 1).view
    assert view.sides == sides
    assert ("sides in this report may be wrong" in view.warning) == is_turned


def test_a_lateral_film_has_its_front_and_back_where_they_are_known() -> None:
    assert sides_in(tags(PatientOrientation=["A", "F"])) == ("P", "A")
    assert sides_in(tags(PatientOrientation=["P", "F"])) == ("A", "P")
    view = examine(film_source(film("1", "1.2", 1, ViewPosition="LL"), 1), 1).view
    assert (view.projection, view.sides) == ("lateral", None)
