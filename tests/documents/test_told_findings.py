"""Which findings documents list, and with which figures."""

from __future__ import annotations

import io
import json

import pydicom
import pytest

from ammrg.documents.source_films import SourceFilms
from ammrg.documents.told_findings import told_figures, told_findings
from ammrg.documents.writing import REPORT, make_documents
from ammrg.findings import FINDINGS, NO_FINDING
from ammrg.inference.description import Description


@pytest.mark.parametrize("probability", [0.2, 0.8])
def test_no_finding_is_listed_only_where_it_is_present(
    description: Description, sources: SourceFilms, probability: float
) -> None:
    name = FINDINGS[NO_FINDING]
    told = description._replace(
        findings={**description.findings, name: probability}, thresholds={**description.thresholds, name: 0.5}
    )
    assert (name in told_findings(told)) == (probability > 0.5)
    assert len(told_findings(told)) == len(FINDINGS) - (probability < 0.5)
    made = make_documents(told, sources)
    for text in (json.dumps(made.fhir), made.dicom[REPORT].decode("latin-1")):
        assert ("no-finding" in text) == (probability > 0.5)


def test_a_probability_just_above_its_threshold_is_written_so(description: Description, sources: SourceFilms) -> None:
    close = description._replace(
        findings={**description.findings, "Fracture": 0.300004}, thresholds={**description.thresholds, "Fracture": 0.3}
    )
    assert told_figures(close, "Fracture") == ("0.300004", "0.300000")
    document = pydicom.dcmread(io.BytesIO(make_documents(close, sources).dicom[REPORT]))
    assert "'0.300004'" in str(document)
    assert "'0.300000'" in str(document)
