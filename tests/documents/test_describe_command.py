"""``ammrg describe --dicom``: documents beside report.json, or one sentence why there are none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from ammrg.__main__ import main
from tests.dicom_studies import phantom_dicom, uids_of
from tests.tiny_export import random_model, write


@pytest.fixture(scope="module")
def exported(llm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("exported") / "model", random_model(llm_folder)))


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "study").mkdir()
    for number, film in enumerate(phantom_dicom(0)):
        (tmp_path / "study" / f"{number}.dcm").write_bytes(film)
    return tmp_path / "study"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(np.tile(np.arange(64, dtype=np.uint8), (64, 1))).save(tmp_path / "film.png")
    return tmp_path / "film.png"


def test_documents_are_written_beside_the_report(study: Path, exported: str, tmp_path: Path) -> None:
    files = sorted(map(str, study.iterdir()))
    out = tmp_path / "out"
    assert main(["describe", *files, "--model", exported, "--out", str(out), "--dicom", "--page"]) == 0
    made = {path.name for path in out.iterdir()}
    assert made >= {"report.json", "report.dcm", "maps.dcm", "page.dcm", "diagnostic_report.json"}
    named = ("report.dcm", "maps.dcm", "page.dcm", "diagnostic_report.json")  # they name the patient
    assert {(out / name).stat().st_mode & 0o777 for name in named} == {0o600}
    described = json.loads((out / "report.json").read_text())
    assert json.loads((out / "diagnostic_report.json").read_text())["status"] == "preliminary"
    first = pydicom.dcmread(out / "report.dcm")
    assert first.DeviceSerialNumber == described["made_from"]["model"]

    corrected = tmp_path / "corrected"
    words = ["describe", *files, "--model", exported, "--out", str(corrected), "--dicom"]
    assert main([*words, "--corrects", str(out / "report.dcm")]) == 0
    later = pydicom.dcmread(corrected / "report.dcm")
    series = later.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert not (corrected / "page.dcm").exists()


@pytest.mark.parametrize("words", [["--page"], ["--corrects", "report.dcm"]])
def test_options_of_documents_need_documents(study: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", str(study), "--model", "gone", *words]) == 1
    assert f"error: {words[0]}: is about the DICOM documents; add --dicom" in capsys.readouterr().err


def test_a_picture_has_no_documents(
    picture: Path, exported: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["describe", str(picture), "--model", "gone", "--out", str(tmp_path / "out"), "--dicom"]) == 1
    said = capsys.readouterr().err
    assert f"error: {picture}: not a DICOM film with all its UIDs" in said
    assert not (tmp_path / "out").exists()


def test_among_others_a_picture_is_described_without_documents(
    study: Path, picture: Path, exported: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "png").mkdir()
    picture.rename(tmp_path / "png" / picture.name)
    out = tmp_path / "out"
    words = ["describe", str(study), str(tmp_path / "png"), "--model", exported, "--out", str(out), "--dicom"]
    assert main(words) == 0
    folders = sorted(path.parent for path in out.glob("*/report.json"))
    assert len(folders) == 2
    with_documents = [folder for folder in folders if (folder / "report.dcm").exists()]
    assert len(with_documents) == 1
    assert "no DICOM documents: " in capsys.readouterr().err
    evidence = pydicom.dcmread(with_documents[0] / "report.dcm").CurrentRequestedProcedureEvidenceSequence
    named = [each.ReferencedSOPInstanceUID for each in evidence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence]
    assert set(named) == set(uids_of([path.read_bytes() for path in study.iterdir()]))
    capsys.readouterr()
    assert main(words) == 0  # what was written before is kept, of the picture too, which can have no documents
    assert "2 described (2 of them before)" in capsys.readouterr().err
    assert pydicom.dcmread(with_documents[0] / "report.dcm").CurrentRequestedProcedureEvidenceSequence == evidence


def test_what_is_to_be_corrected_must_be_a_report(
    study: Path, picture: Path, exported: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong, said in ((picture, "cannot be read as DICOM"), (study / "0.dcm", "not a DICOM structured report")):
        words = ["describe", str(study / "0.dcm"), "--model", exported, "--dicom", "--corrects", str(wrong)]
        assert main(words) == 1
        assert said in capsys.readouterr().err


def test_a_report_of_another_study_is_refused_before_anything_is_described(
    study: Path, exported: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["describe", str(study), "--model", exported, "--dicom"]
    assert main([*words, "--out", str(tmp_path / "first")]) == 0
    (earlier,) = (tmp_path / "first").rglob("report.dcm")
    report = pydicom.dcmread(earlier)
    report.StudyInstanceUID = "1.2.3"
    report.save_as(tmp_path / "other.dcm")
    capsys.readouterr()
    assert main([*words, "--out", str(tmp_path / "second"), "--corrects", str(tmp_path / "other.dcm")]) == 1
    assert "the structured report to correct is of another study" in capsys.readouterr().err
    assert not list((tmp_path / "second").rglob("report.json"))
