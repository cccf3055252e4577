"""The FHIR DiagnosticReport of a description: preliminary, with its findings contained, without the patient."""

from __future__ import annotations

import base64
import datetime
import html
import json
from collections.abc import Iterable
from typing import Any

from fhir.resources.R4B.diagnosticreport import DiagnosticReport

from ammrg.documents import concepts
from ammrg.documents.remarks import remarks
from ammrg.documents.source_films import SourceFilms
from ammrg.documents.statement import DEVICE_MODEL, MANUFACTURER, STATEMENT, VERSION, plain
from ammrg.documents.told_findings import told_figures, told_findings
from ammrg.findings import FINDINGS
from ammrg.inference.description import Description
from ammrg.text.shown_places import shown_place

SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "LN": "http://loinc.org",
    concepts.SCHEME: "urn:ammrg:findings",
}
"""DICOM's designator of a coding scheme -> FHIR's address of it."""


def diagnostic_report(description: Description, films: SourceFilms, pdf: bytes | None = None) -> dict[str, Any]:
    """Make the resource, valid by the models of FHIR R4B, in which these resources are as in R4.

    Args:
        description: of the study.
        films: of the study. Study and accession number are named, the patient is not: the receiver knows the study.
        pdf: the page, attached as ``presentedForm``; None: no attachment.
    """
    study = films.read[0]
    observations = [_observation(description, name, present) for name, present in told_findings(description).items()]
    identifiers = [{"system": "urn:dicom:uid", "value": f"urn:oid:{study.StudyInstanceUID}"}]
    resource: dict[str, Any] = {
        "resourceType": "DiagnosticReport",
        "text": {
            "status": "additional",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{_paragraphs(remarks(description))}</div>',
        },
        "contained": [_device(description), *observations],
        "status": "preliminary",
        "category": [
            {
                "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "RAD"}],
                "text": "radiology",
            }
        ],
        "code": _codeable(concepts.REPORT_TITLE),
        "issued": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "imagingStudy": [{"identifier": identifiers[0]}],
        "result": [{"reference": f"#{observation['id']}"} for observation in observations],
        "conclusion": plain(description.report),
    }
    if study.AccessionNumber:
        kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]}
        resource["basedOn"] = [{"identifier": {"type": kind, "value": str(study.AccessionNumber)}}]
    if len(date := str(study.StudyDate)) == 8:
        resource["effectiveDateTime"] = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    if pdf is not None:
        data = base64.b64encode(pdf).decode()
        resource["presentedForm"] = [{"contentType": "application/pdf", "data": data, "title": STATEMENT}]
    return dict(json.loads(DiagnosticReport.model_validate(resource).model_dump_json()))


def _paragraphs(sentences: Iterable[str]) -> str:
    return "".join(f"<p>{html.escape(plain(sentence))}</p>" for sentence in sentences)


def _device(description: Description) -> dict[str, Any]:
    """The model that observed."""
    return {
        "resourceType": "Device",
        "id": "device",
        "manufacturer": MANUFACTURER,
        "deviceName": [{"name": DEVICE_MODEL, "type": "model-name"}],
        "version": [{"value": VERSION}],
        **({"serialNumber": description.model} if description.model else {}),
        "note": [{"text": text} for text in (STATEMENT, description.trained_on, description.distance.sentence)],
    }


def _observation(description: Description, name: str, present: bool) -> dict[str, Any]:
    """One finding: present or not, with probability, threshold and place."""
    shown = told_figures(description, name)
    places = shown_place(description.places.get(name, ()))
    return {
        "resourceType": "Observation",
        "id": f"finding-{FINDINGS.index(name) + 1}",
        "status": "preliminary",
        "code": _codeable(concepts.finding_concept(name), name),
        "valueCodeableConcept": _codeable(concepts.PRESENT if present else concepts.ABSENT),
        **({"bodySite": {"text": places}} if places else {}),
        "device": {"reference": "#device"},
        "component": [
            {"code": _codeable(code), "valueQuantity": {"value": float(value)}}
            for code, value in ((concepts.PROBABILITY, shown.probability), (concepts.THRESHOLD, shown.threshold))
        ],
    }


def _codeable(code: Any, text: str | None = None) -> dict[str, Any]:
    """Return a DICOM code as FHIR's CodeableConcept."""
    coded = {"system": SYSTEMS[code.scheme_designator], "code": code.value, "display": code.meaning}
    return {"coding": [coded], "text": text or code.meaning}
