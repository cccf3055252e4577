"""One study read in every way that there is (command, Python, service, archive loop, page) has one report.

Report, findings, thresholds and places are compared with what ``ReportGenerator.describe`` says of the study's files.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from pydicom.dataset import Dataset
from starlette.testclient import TestClient

from ammrg.archive.loop import Loop
from ammrg.archive.records import Records
from ammrg.archive.server import Archive
from ammrg.commands.describe import main
from ammrg.documents import concepts
from ammrg.documents.statement import plain
from ammrg.findings import FINDINGS
from ammrg.inference.description import Description
from ammrg.inference.report_generator import ReportGenerator
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.service.app import build
from ammrg.service.desk import Desk
from ammrg.service.limits import Limits
from ammrg.service.scratch import Scratch
from ammrg.studies.decoding import decode_study
from ammrg.studies.grouping import find_studies
from tests.archive.orthanc import running_orthanc
from tests.dicom_studies import phantom_dicom
from tests.tiny_encoder import ENCODER
from tests.tiny_export import random_model, with_curve, write
from tests.tiny_stage2 import QFORMER

TWO_VIEWS = next(index for index in range(40) if len(phantom_dicom(index)) == 2)


class Read(NamedTuple):
    """What a way of reading says of a study; places as sets of words."""

    report: str
    findings: dict[str, float]
    thresholds: dict[str, float]
    places: dict[str, frozenset[str]]


class Studies(NamedTuple):
    """The files of one study, the model and where to work."""

    films: list[Path]
    exported: Path
    model: ReportGenerator
    folder: Path
    setting: float


@pytest.fixture(scope="module")
def exported(llm_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    classifier = DiseaseClassifier(ENCODER, QFORMER, places="queries")
    template = "{placed_findings} Write the findings."
    model = random_model(
        llm_folder, classifier=classifier, instruction=template, finding_tokens=True, place_tokens=True
    )
    assert classifier.place_head is not None
    classifier.place_head.thresholds.fill_(0.5)
    return write(tmp_path_factory.mktemp("exported") / "model", with_curve(model))


@pytest.fixture(scope="module")
def model(exported: Path) -> ReportGenerator:
    return ReportGenerator.from_pretrained(exported, device="cpu")


def said(report: dict[str, Any]) -> Read:
    """What a report.json says."""
    places = {name: frozenset(words) for name, words in report["places"].items() if words}
    return Read(report["report"], report["findings"], report["thresholds"], places)


def of(description: Description) -> Read:
    return said(json.loads(json.dumps(description.as_json())))


def by_python(study: Studies) -> Read:
    return of(study.model.describe(list(map(str, study.films)), operating_point=study.setting))


def of_found_studies(study: Studies) -> Read:
    found = find_studies([study.folder / "films"])
    (described,) = study.model.describe(found.studies, operating_point=study.setting)
    assert isinstance(described, Description)
    return of(described)


def by_command(study: Studies) -> Read:
    words = ["--model", str(study.exported), "--out", str(study.folder / "out"), "--operating-point"]
    assert main([str(study.folder / "films"), *words, str(study.setting)]) == 0
    (report,) = (study.folder / "out").glob("study-*/report.json")
    return said(json.loads(report.read_text()))


def by_service(study: Studies) -> Read:
    (study.folder / "scratch").mkdir()
    failures: list[Exception] = []
    desk = Desk(lambda: study.model, Limits(), Scratch(study.folder / "scratch"), failures.append)
    with TestClient(build(desk, None, None), "http://127.0.0.1") as client:
        while client.get("/readyz").status_code != 200:
            assert not failures
            time.sleep(0.02)
        sent = [("files", (film.name, film.read_bytes())) for film in study.films]
        answer = client.post("/v1/studies", files=sent, data={"operating_point": str(study.setting)})
    assert answer.status_code == 200, answer.text
    return said(answer.json())


def by_page(study: Studies) -> Read:
    """The page reads and prepares a study once, and describes what is prepared each time a switch is turned."""
    (found,) = find_studies([study.folder / "films"]).studies
    prepared = study.model.prepare(decode_study(found))
    (description,) = study.model.describe_prepared([prepared._replace(operating_point=study.setting)])
    return of(description)


def by_archive(study: Studies) -> Read:
    with running_orthanc(study.folder) as orthanc:
        orthanc.put(*(film.read_bytes() for film in study.films))
        records = Records(study.folder / "state")
        try:
            loop = Loop(Archive(orthanc.dicomweb), records, study.model, setting=study.setting)
            assert dict(loop.look("20261101")) == {"stored": 1}
        finally:
            records.close()
        (documents,) = orthanc.documents().values()
    (report,) = (each for each in documents if each.Modality == "SR")
    return in_structured_report(report)


CODES = {concepts.finding_concept(name).value: name for name in FINDINGS}
SIDES = {
    code.value: frozenset(words)
    for words in (("left",), ("right",), ("left", "right"))
    if (code := concepts.side_concept(words)) is not None
}


def in_structured_report(report: Dataset) -> Read:
    """What report.dcm says, read back from its codes."""
    items = [item for part in report.ContentSequence for item in part.get("ContentSequence", [])]
    (text,) = (
        item.TextValue
        for item in items
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == concepts.FINDING.value
    )
    found = Read(text, {}, {}, {})
    for item in items:
        if item.ValueType == "CODE" and "ContentSequence" in item and item.ConceptCodeSequence[0].CodeValue in CODES:
            name = CODES[item.ConceptCodeSequence[0].CodeValue]
            found.findings[name], found.thresholds[name], words = _properties(name, item)
            if words:
                found.places[name] = words
    return found


def _properties(name: str, item: Dataset) -> tuple[float, float, frozenset[str]]:
    numbers, words = {}, frozenset[str]()
    levels = {concepts.level_concepts(name, [word])[0].value: word for word in concepts.ZONES}
    for each in item.ContentSequence:
        kind = each.ConceptNameCodeSequence[0].CodeValue
        if each.ValueType == "NUM":
            numbers[kind] = float(each.MeasuredValueSequence[0].NumericValue)
        elif kind == concepts.LATERALITY.value:
            words |= SIDES[each.ConceptCodeSequence[0].CodeValue]
        elif kind == concepts.SITE.value:
            words |= {levels[each.ConceptCodeSequence[0].CodeValue]}
    return numbers[concepts.PROBABILITY.value], numbers[concepts.THRESHOLD.value], words


WAYS = (of_found_studies, by_command, by_service, by_page)


@pytest.mark.parametrize("setting", [0.5, 0.2])
@pytest.mark.parametrize("way", [*WAYS, pytest.param(by_archive, marks=pytest.mark.slow)])
@pytest.mark.parametrize("index", [TWO_VIEWS, 1], ids=["two views", "compressed"])
def test_the_same_study_has_the_same_report(
    way: Callable[[Studies], Read], index: int, setting: float, exported: Path, model: ReportGenerator, tmp_path: Path
) -> None:
    (tmp_path / "films").mkdir()
    files = []
    for number, film in enumerate(phantom_dicom(index, compress=index == 1)):
        files.append(tmp_path / "films" / f"{number}.dcm")
        files[-1].write_bytes(film)
    study = Studies(files, exported, model, tmp_path, setting)
    expected, found = by_python(study), way(study)
    assert plain(found.report) == plain(expected.report)
    if way is not by_archive:  # a document has no control characters
        assert found.report == expected.report
    assert found.findings == pytest.approx(expected.findings, abs=1e-4)
    assert found.thresholds == pytest.approx(expected.thresholds, abs=1e-4)
    assert found.places == expected.places


def test_the_study_has_something_to_compare(model: ReportGenerator, tmp_path: Path) -> None:
    said_at = [of(model.describe(phantom_dicom(TWO_VIEWS), operating_point=setting)) for setting in (0.5, 0.2)]
    assert all(each.report and each.places for each in said_at)
    assert said_at[0].thresholds != said_at[1].thresholds
    assert len(said_at[0].places) < len(said_at[1].places)
