"""Films of every kind on their whole way: sent, described with each switch, and taken down as JSON, PDF and DICOM."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pydicom
import pytest
from starlette.testclient import TestClient

from ammrg.demo.asked import Asked
from ammrg.demo.desk import Desk
from ammrg.findings import FINDINGS
from tests.dicom_studies import phantom_dicom
from tests.service.uploads import Sent
from tests.studies.study_films import picture

SWITCHES = (Asked(), Asked(memories=False), Asked(mirrored=True), Asked(operating_point=0.05))


def go(client: TestClient, desk: Desk, sent: Sent) -> dict[str, Any]:
    """Take one study the whole way; return what was told when it was sent."""
    answer = client.post("/studies", files=sent)
    assert answer.status_code == 200, answer.text
    study: dict[str, Any] = answer.json()
    assert [film["name"] for film in study["films"]] == [name for _, (name, _) in sent]
    is_dicom = all(film["name"].endswith(".dcm") for film in study["films"])
    before = None
    for asked in SWITCHES:
        *_, last = desk.describe(study["case"], asked._asdict(), before)
        assert "shown" in last, last
        shown = last["shown"]
        before = shown["asked"]
        assert {each["name"] for each in shown["findings"]} == set(FINDINGS)
        assert all(0 <= each["map"]["film"] < len(sent) for each in shown["findings"] if each["map"])
        assert (shown["sides"] is not None) == (asked.mirrored or "mirrored" in (shown["before"] or ""))
        taken = {
            name: client.get(f"/cases/{study['case']}/{name}", params=asked._asdict())
            for name in ("report.json", "report.pdf", "documents.zip")
        }
        report = json.loads(taken["report.json"].content)
        assert report["memories"] == ("on" if asked.memories else "off")
        assert len(shown["warnings"]) == len(report["warnings"])
        assert taken["report.pdf"].content.startswith(b"%PDF")
        assert taken["documents.zip"].status_code == (200 if is_dicom and not asked.mirrored else 422)
        if taken["documents.zip"].status_code == 200:
            with zipfile.ZipFile(io.BytesIO(taken["documents.zip"].content)) as archive:
                document = pydicom.dcmread(io.BytesIO(archive.read("report.dcm")))
            films = [pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True) for _, (_, data) in sent]
            assert {document.StudyInstanceUID} == {film.StudyInstanceUID for film in films}
            assert document.get("PatientID", "") == films[0].get("PatientID", "")
    return study


@pytest.mark.parametrize("compress", [False, True])
def test_drawn_dicom_films(client: TestClient, desk: Desk, compress: bool) -> None:
    films = phantom_dicom(1, compress=compress)
    go(client, desk, [("files", (f"{number}.dcm", film)) for number, film in enumerate(films)])


def test_a_picture(client: TestClient, desk: Desk) -> None:
    go(client, desk, [("files", ("film.png", picture(3)))])


def test_real_films(client: TestClient, desk: Desk, samples: Path) -> None:
    paths = sorted(path for path in samples.glob("*/*") if path.suffix in (".dcm", ".png"))
    assert paths
    for path in paths:
        study = go(client, desk, [("files", (path.name, path.read_bytes()))])
        assert study["set_aside"] == [], path
        assert min(study["films"][0]["width"], study["films"][0]["height"]) > 256, path
