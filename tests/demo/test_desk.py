"""A study on the page: read, described word by word with each setting of the switches, compared, and downloaded."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from ammrg.demo.asked import Asked
from ammrg.demo.cases import HELD
from ammrg.demo.content import description_content
from ammrg.demo.desk import Desk
from ammrg.demo.downloads import DOWNLOADS
from ammrg.errors import SettingsError
from ammrg.findings import FINDINGS
from ammrg.inference.report_generator import ReportGenerator
from ammrg.service.form import Upload, UploadedFile
from ammrg.service.limits import Refusal
from ammrg.studies.grouping import find_studies
from ammrg.thresholds import figures
from tests.studies.study_films import FRONT, SIDE, film, picture


def read(desk: Desk, folder: Path, **files: bytes) -> dict[str, Any]:
    """Read films by name; the last underscore is a dot."""
    found = []
    for name, data in files.items():
        path = folder / ".".join(name.rsplit("_", 1))
        path.write_bytes(data)
        found.append(UploadedFile(path.name, path))
    return asyncio.run(desk.read(Upload(found, [], "")))


def told(desk: Desk, key: str, sent: dict[str, Any], before: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return list(desk.describe(key, sent, before))


@pytest.fixture
def study(desk: Desk, tmp_path: Path) -> dict[str, Any]:
    return read(desk, tmp_path, a_dcm=film("1", "1.2.1", 1, **FRONT), b_dcm=film("1", "1.2.1", 2, **SIDE))


def test_a_study_is_shown_with_its_views_and_sides(study: dict[str, Any]) -> None:
    front, side = study["films"]
    assert (front["name"], front["projection"], front["why"]) == ("a.dcm", "frontal", "ViewPosition is PA")
    assert (front["sides"], side["sides"]) == (("R", "L"), ("A", "P"))
    assert front["is_read"]
    assert front["src"].startswith("data:image/jpeg;base64,")
    assert (front["height"], front["width"]) == (40, 36)
    assert study["set_aside"] == []


def test_the_report_comes_word_by_word_and_is_the_generator_s(
    desk: Desk, model: ReportGenerator, study: dict[str, Any]
) -> None:
    *texts, last = told(desk, study["case"], {"memories": True, "mirrored": False})
    case = desk.cases.get(study["case"])
    assert case is not None
    own = model.describe_prepared([case.prepared])[0]
    assert [each["text"] for each in texts][-1] == own.report
    assert len(texts) > 2
    shown = last["shown"]
    assert " ".join(piece["text"] for row in shown["sentences"] for piece in row["pieces"]) == own.report
    assert {row["name"]: row["value"] for row in shown["findings"]} == own.findings
    assert sorted(row["name"] for row in shown["findings"]) == sorted(FINDINGS)
    assert [row["present"] for row in shown["findings"][:-1]] == sorted(
        (row["present"] for row in shown["findings"][:-1]), reverse=True
    )
    assert shown["findings"][-1]["name"] == "No Finding"
    assert {row["map"]["film"] for row in shown["findings"] if row["map"]} <= {0, 1}
    assert shown["before"] is None
    assert [text.lower() for text in shown["warnings"]] == [
        text.removeprefix("WARNING: ").lower() for text in own.warnings
    ]
    assert shown["warnings"][0].startswith("The findings table contradicts itself")
    assert shown["warnings"][1].startswith("The report affirms Edema")
    assert [row["figures"] for row in shown["findings"]] == [
        figures(own.findings[row["name"]], own.thresholds[row["name"]])._asdict() for row in shown["findings"]
    ]
    assert shown["trained_on"] == own.trained_on
    json.dumps(last)


def test_a_sentence_names_the_findings_that_it_speaks_of(desk: Desk, study: dict[str, Any]) -> None:
    shown = told(desk, study["case"], {})[-1]["shown"]
    said = {name: what for row in shown["sentences"] for name, what in row["says"].items()}
    assert said == {"Edema": "affirmed"}


def test_a_sentence_that_contradicts_itself_says_both(
    desk: Desk, model: ReportGenerator, study: dict[str, Any]
) -> None:
    case = desk.cases.get(study["case"])
    assert case is not None
    own = model.describe_prepared([case.prepared])[0]
    shown = description_content(own._replace(report="Edema on the left, no edema on the left."), Asked(), None)
    assert [row["says"] for row in shown["sentences"]] == [{"Edema": "affirmed and denied"}]


def test_places_are_worded_as_on_the_other_pages(desk: Desk, model: ReportGenerator, study: dict[str, Any]) -> None:
    case = desk.cases.get(study["case"])
    assert case is not None
    own = model.describe_prepared([case.prepared])[0]
    places = ("left", "right", "mid", "lower")
    found = own.memory.similar[0]
    similar = [found._replace(pattern=found.pattern._replace(place=places))]
    placed = own._replace(places={"Edema": places}, memory=own.memory._replace(reasons=[], similar=similar))
    shown = description_content(placed, Asked(), None)
    assert {row["name"]: row["place"] for row in shown["findings"]}["Edema"] == "bilateral mid and lower"
    assert [each["place"] for each in shown["cases"]] == ["bilateral mid and lower"]


def test_recalled_cases_are_similar_unless_their_influence_is_beyond_the_threshold(
    desk: Desk, study: dict[str, Any]
) -> None:
    shown = told(desk, study["case"], {})[-1]["shown"]
    assert shown["cases"]
    for case in shown["cases"]:
        assert case["is_reason"] == (case["influence"] is not None and case["influence"] > case["limit"])
        assert case["limit"] == 0.5
    assert [case["text"] for case in shown["cases"] if case["is_reason"]][:1] == ["Edema on the left."]


def test_without_memories_the_change_is_marked(desk: Desk, study: dict[str, Any]) -> None:
    own = told(desk, study["case"], {})[-1]["shown"]
    off = told(desk, study["case"], {"memories": False}, own["asked"])[-1]["shown"]
    assert off["cases"] == []
    assert (off["title"], off["before"]) == ("memories off", "as trained")
    pieces = [piece for row in off["sentences"] for piece in row["pieces"]]
    assert " ".join(piece["text"] for piece in pieces if piece["kind"] != "new") == "Edema on the left."
    assert {piece["kind"] for piece in pieces} > {"gone"}
    assert all(row["before"]["value"] == row["value"] for row in off["findings"])
    assert off["sides"] is None


def test_mirrored_films_say_which_sides_changed(desk: Desk, study: dict[str, Any]) -> None:
    own = told(desk, study["case"], {})[-1]["shown"]
    mirrored = told(desk, study["case"], {"mirrored": True}, own["asked"])[-1]["shown"]
    # This network only repeats what it recalls, so its side cannot follow the film: the page says so.
    assert [(row["finding"], row["outcome"]) for row in mirrored["sides"]["findings"]] == [("Edema", "kept")]
    assert "does not look" in mirrored["sides"]["sentence"]
    assert mirrored["warnings"][0].startswith("The films were flipped")
    assert any(row["before"]["value"] != row["value"] for row in mirrored["findings"])
    assert not mirrored["is_dicom"]


def test_the_dial_moves_the_thresholds(desk: Desk, study: dict[str, Any]) -> None:
    own = told(desk, study["case"], {})[-1]["shown"]
    turned = told(desk, study["case"], {"operating_point": 0.25}, own["asked"])[-1]["shown"]
    assert {(row["threshold"], row["before"]["threshold"]) for row in turned["findings"]} == {(0.25, 0.5)}
    assert all(row["present"] == (row["value"] > 0.25) for row in turned["findings"])
    assert turned["title"] == "operating point 0.25 (sensitive)"
    assert turned["operating_note"].startswith("Read at operating point 0.25 (sensitive), not as trained")
    assert own["operating_note"] == ""


def test_a_projection_that_is_chosen_is_read_as_the_command_reads_it(
    desk: Desk, model: ReportGenerator, study: dict[str, Any], tmp_path: Path
) -> None:
    own = told(desk, study["case"], {"projections": ","})[-1]["shown"]
    assert (own["title"], own["asked"]["projections"]) == ("as trained", "")
    chosen = told(desk, study["case"], {"projections": "lateral,frontal"}, own["asked"])[-1]["shown"]
    assert chosen["title"] == "film 1 as lateral, film 2 as frontal"
    assert [view["projection"] for view in chosen["views"]] == ["lateral", "frontal"]
    assert chosen["views"][1]["why"] == "named as frontal"
    assert "Film 1: named as lateral, but ViewPosition is PA." in chosen["warnings"]
    (found,) = find_studies([tmp_path], ["a.dcm"], frontal=["b.dcm"]).studies
    by_command = model.describe(found)
    case, description = desk.described(study["case"], Asked(projections="lateral,frontal"))
    assert (description.report, description.inputs) == (by_command.report, by_command.inputs)
    assert description.findings == pytest.approx(by_command.findings, abs=1e-5)
    assert DOWNLOADS["documents.zip"](case, description).content
    for sent in ("frontal,oblique", "frontal;lateral", ",,lateral"):
        assert "projections: " in told(desk, study["case"], {"projections": sent})[0]["error"]


def test_a_dial_that_was_not_measured_is_a_sentence(model: ReportGenerator, tmp_path: Path) -> None:
    other = Desk(model._replace(curve=None))
    key = read(other, tmp_path, a_png=picture(3))["case"]
    assert "has no operating curve" in told(other, key, {"operating_point": 0.25})[-1]["error"]
    assert "must be" in told(other, key, {"operating_point": 7})[-1]["error"]
    other.close()


def test_a_setting_that_is_none_and_a_study_that_is_gone_are_a_sentence(
    desk: Desk, study: dict[str, Any], tmp_path: Path
) -> None:
    for sent in ({"memory": True}, {"memories": 1}, {"operating_point": True}, {"operating_point": "0.5"}):
        assert "is no setting of this page" in told(desk, study["case"], sent)[0]["error"]
    for number in range(HELD):
        read(desk, tmp_path, a_png=picture(number))
    assert told(desk, study["case"], {}) == [{"error": "this study is no longer held here: load it again"}]
    with pytest.raises(Refusal, match="load it again"):
        desk.described(study["case"], Asked())


def test_what_fails_is_a_sentence_and_the_next_study_is_described(
    desk: Desk, study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, said in ((SettingsError("the prompt is too long"), "too long"), (KeyError("Family^Given"), "failed")):

        def fail(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(ReportGenerator, "describe_prepared", fail)
            (answer,) = told(desk, study["case"], {"mirrored": True})
        assert said in answer["error"]
        assert "Family" not in answer["error"]
    assert told(desk, study["case"], {"mirrored": True})[-1]["shown"]


def test_downloads_are_those_of_the_command(desk: Desk, study: dict[str, Any]) -> None:
    told(desk, study["case"], {})
    case, own = desk.described(study["case"], Asked())
    report = json.loads(DOWNLOADS["report.json"](case, own).content)
    assert report == json.loads(json.dumps(own.as_json()))
    assert DOWNLOADS["report.pdf"](case, own).content.startswith(b"%PDF")
    packed = zipfile.ZipFile(io.BytesIO(DOWNLOADS["documents.zip"](case, own).content))
    assert sorted(packed.namelist()) == ["diagnostic_report.json", "maps.dcm", "page.dcm", "report.dcm"]
    document = pydicom.dcmread(io.BytesIO(packed.read("report.dcm")))
    assert (document.Modality, document.StudyInstanceUID, document.PatientID) == ("SR", "1.2.1", "1")


def test_pictures_and_mirrored_films_have_no_dicom_documents(desk: Desk, study: dict[str, Any], tmp_path: Path) -> None:
    other = read(desk, tmp_path, a_png=picture(1))
    assert not told(desk, other["case"], {})[-1]["shown"]["is_dicom"]
    told(desk, study["case"], {"mirrored": True})
    for key, asked, said in (
        (other["case"], Asked(), "not a DICOM film"),
        (study["case"], Asked(mirrored=True), "side"),
    ):
        with pytest.raises(Refusal, match=said):
            DOWNLOADS["documents.zip"](*desk.described(key, asked))


def test_nothing_of_an_upload_is_needed_after_it_was_read(desk: Desk, tmp_path: Path) -> None:
    found = read(desk, tmp_path, a_dcm=film("1", "1.2.9", 1, **FRONT))
    (tmp_path / "a.dcm").unlink()
    told(desk, found["case"], {})
    assert DOWNLOADS["documents.zip"](*desk.described(found["case"], Asked())).content


def test_examples_are_read_with_their_projections(desk: Desk, examples: list[Path]) -> None:
    found = asyncio.run(desk.read_example(examples[0]))
    assert [each["projection"] for each in found["films"]] == ["frontal", "lateral"]
    assert np.isfinite(told(desk, found["case"], {})[-1]["shown"]["findings"][0]["value"])
