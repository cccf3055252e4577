"""The FHIR DiagnosticReport."""

from __future__ import annotations

import base64
import json

from fhir.resources.R4B.diagnosticreport import DiagnosticReport

from ammrg.documents.diagnostic_report import diagnostic_report
from ammrg.documents.source_films import SourceFilms
from ammrg.documents.statement import STATEMENT
from ammrg.documents.told_findings import told_findings
from ammrg.documents.writing import Documents
from ammrg.findings import FINDINGS
from ammrg.inference.description import Description
from tests.documents.conftest import MODEL


def test_it_is_valid_and_preliminary(documents: Documents, description: Description, sources: SourceFilms) -> None:
    report = documents.fhir
    assert DiagnosticReport.model_validate(report).status == "preliminary"
    assert report["conclusion"] == "The heart is 50° 心.  A fracture."
    assert report["imagingStudy"][0]["identifier"]["value"] == f"urn:oid:{sources.read[0].StudyInstanceUID}"
    assert STATEMENT in report["text"]["div"]
    assert report["effectiveDateTime"] == "2026-11-30"


def test_it_contains_all_findings(documents: Documents, description: Description) -> None:
    contained = {each["id"]: each for each in documents.fhir["contained"]}
    assert contained.pop("device")["serialNumber"] == MODEL
    assert [each["reference"] for each in documents.fhir["result"]] == [f"#{name}" for name in contained]
    for (name, present), found in zip(told_findings(description).items(), contained.values(), strict=True):
        value, threshold = description.findings[name], description.thresholds[name]
        assert found["code"]["text"] == name
        said = found["valueCodeableConcept"]["coding"][0]["display"]
        assert said == ("Present" if present else "Absent")
        assert [part["valueQuantity"]["value"] for part in found["component"]] == [
            round(value, 4),
            round(threshold, 4),
        ]
    assert contained[f"finding-{FINDINGS.index('Fracture') + 1}"]["bodySite"] == {"text": "right upper"}


def test_warnings_are_in_its_text(description: Description, sources: SourceFilms) -> None:
    warned = description._replace(warnings=["WARNING: <no frontal film> & so on."])
    div = diagnostic_report(warned, sources)["text"]["div"]
    assert "<p>WARNING: &lt;no frontal film&gt; &amp; so on.</p>" in div
    assert description.trained_on in div


def test_it_names_no_patient(documents: Documents) -> None:
    text = json.dumps(documents.fhir, ensure_ascii=False)
    assert not [word for word in ("Müller", "P0000", "1950") if word in text]
    assert base64.b64decode(documents.fhir["presentedForm"][0]["data"]).startswith(b"%PDF-")
