"""What the DICOM structured report says."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pydicom
import pytest
from pydicom.dataset import Dataset

from ammrg.documents import concepts
from ammrg.documents.identifiers import derived_identifiers, new_identifiers
from ammrg.documents.source_films import SourceFilms
from ammrg.documents.statement import STATEMENT
from ammrg.documents.told_findings import told_findings
from ammrg.documents.writing import REPORT, Documents, make_documents
from ammrg.errors import DocumentError
from ammrg.findings import FINDINGS
from ammrg.inference.description import Description
from tests.documents.conftest import MODEL


def report_of(documents: Documents) -> Dataset:
    return pydicom.dcmread(io.BytesIO(documents.dicom[REPORT]))


def items(document: Dataset) -> Iterator[Dataset]:
    """All content items."""
    for item in document.get("ContentSequence", []):
        yield item
        yield from items(item)


def code(sequence: list[Dataset]) -> tuple[str, str]:
    return sequence[0].CodeValue, sequence[0].CodingSchemeDesignator


def findings(document: Dataset, kind: tuple[str, str]) -> dict[tuple[str, str], Dataset]:
    """Code of a finding -> its item."""
    listed = [
        each for each in items(document) if each.ValueType == "CODE" and code(each.ConceptNameCodeSequence) == kind
    ]
    return {code(each.ConceptCodeSequence): each for each in listed}


def properties(item: Dataset) -> dict[str, object]:
    """Code of a property -> its value."""
    return {
        code(each.ConceptNameCodeSequence)[0]: (
            float(each.MeasuredValueSequence[0].NumericValue)
            if each.ValueType == "NUM"
            else code(each.ConceptCodeSequence)[0]
        )
        for each in item.ContentSequence
    }


def test_each_finding_is_said_with_its_figures(documents: Documents, description: Description) -> None:
    document = report_of(documents)
    present, below = findings(document, ("121071", "DCM")), findings(document, ("below-threshold", "99AMMRG"))
    assert len(present) + len(below) == len(told_findings(description))
    for name, is_there in told_findings(description).items():
        value, threshold = description.findings[name], description.thresholds[name]
        said = concepts.finding_concept(name)
        found = properties((present if is_there else below)[said.value, said.scheme_designator])
        assert found["122157"] == pytest.approx(value, abs=1e-4)
        assert found["122411"] == pytest.approx(threshold, abs=1e-4)
        assert found["121052"] == ("121053" if is_there else "121054")


def test_places_are_coded(documents: Documents) -> None:
    present = findings(report_of(documents), ("121071", "DCM"))
    consolidation = properties(present["consolidation", "99AMMRG"])
    assert consolidation["272741003"] == "51440002"  # bilateral
    assert consolidation["363698007"] == "281394001"  # lower zone of lung
    fracture = properties(present["fracture", "99AMMRG"])
    assert fracture["272741003"] == "24028007"  # right
    assert fracture["363698007"] == "level-upper"  # of no lung


def test_the_report_says_what_it_is(documents: Documents) -> None:
    document = report_of(documents)
    assert (document.CompletionFlag, document.PreliminaryFlag) == ("COMPLETE", "PRELIMINARY")
    assert document.VerificationFlag == "UNVERIFIED"
    assert document.SpecificCharacterSet == "ISO_IR 192"
    assert document.DeviceSerialNumber == MODEL
    texts = [item.TextValue for item in items(document) if item.ValueType == "TEXT"]
    assert STATEMENT in texts
    assert "The heart is 50° 心.  A fracture." in texts  # without the control character
    assert f"model fingerprint {MODEL}" in texts
    observers = [item for item in items(document) if item.RelationshipType == "HAS OBS CONTEXT"]
    assert code(observers[0].ConceptCodeSequence) == ("121007", "DCM")
    assert MODEL in [item.get("TextValue") for item in observers]


def test_a_reading_that_is_not_balanced_says_so(description: Description, sources: SourceFilms) -> None:
    note = "Read at operating point 0.25 (sensitive), not as trained."
    turned = report_of(make_documents(description._replace(operating_note=note), sources))
    balanced = report_of(make_documents(description, sources))
    said = [[each.TextValue for each in items(found) if each.ValueType == "TEXT"] for found in (turned, balanced)]
    assert note in said[0]
    assert [text for text in said[0] if text != note] == said[1]


def test_private_codes_are_declared_and_public_ones_are_pydicom_s(documents: Documents) -> None:
    document = report_of(documents)
    assert [each.CodingSchemeDesignator for each in document.CodingSchemeIdentificationSequence] == ["99AMMRG"]
    assert set(concepts.PUBLIC) < set(FINDINGS)
    known = {name: concepts.finding_concept(name) for name in FINDINGS}
    assert len({(each.value, each.scheme_designator) for each in known.values()}) == len(FINDINGS)
    assert all(len(each.value) <= 16 for each in known.values())
    assert (known["Pneumothorax"].value, known["Pneumothorax"].scheme_designator) == ("36118008", "SCT")


def test_evidence_is_the_films_of_the_study(documents: Documents, sources: SourceFilms) -> None:
    (study,) = report_of(documents).CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == sources.read[0].StudyInstanceUID
    (series,) = study.ReferencedSeriesSequence
    named = [film.ReferencedSOPInstanceUID for film in series.ReferencedSOPSequence]
    assert named == [film.SOPInstanceUID for film in sources.all]
    assert "PertinentOtherEvidenceSequence" not in report_of(documents)


def test_each_writing_has_new_uids_and_a_correction_names_its_predecessor(
    documents: Documents, description: Description, sources: SourceFilms
) -> None:
    earlier = report_of(documents)
    later = report_of(make_documents(description, sources, predecessors=[earlier]))
    assert later.SOPInstanceUID != earlier.SOPInstanceUID
    assert later.SeriesInstanceUID != earlier.SeriesInstanceUID
    assert later.StudyInstanceUID == earlier.StudyInstanceUID
    (study,) = later.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == earlier.SeriesInstanceUID
    assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == earlier.SOPInstanceUID
    earlier.StudyInstanceUID = "1.2.3"
    with pytest.raises(DocumentError, match="of another study"):
        make_documents(description, sources, predecessors=[earlier])


@pytest.mark.parametrize(("setting", "said"), [(0.5, ""), (0.25, ", sensitive"), (0.123456789, ", setting 0.123457")])
def test_the_series_says_at_which_setting_and_whether_it_corrects(
    description: Description, sources: SourceFilms, documents: Documents, setting: float, said: str
) -> None:
    turned = description._replace(operating_point=setting)
    for earlier, end in (([], ""), ([report_of(documents)], ", correction")):
        made = make_documents(turned, sources, page=True, predecessors=earlier).dicom.values()
        series = [str(pydicom.dcmread(io.BytesIO(file)).SeriesDescription) for file in made]
        assert series == [f"AM-MRG {kind}, research use only{said}{end}" for kind in ("report", "maps", "page")]
        assert max(map(len, series)) <= 64  # PS3.5, value representation LO


def test_derived_uids_depend_on_study_films_and_model() -> None:
    uids = derived_identifiers("1.2", ["1.2.1", "1.2.2"], MODEL)
    assert uids == derived_identifiers("1.2", ["1.2.2", "1.2.1"], MODEL)
    others = [
        derived_identifiers("1.3", ["1.2.1", "1.2.2"], MODEL),
        derived_identifiers("1.2", ["1.2.1"], MODEL),
        derived_identifiers("1.2", ["1.2.1", "1.2.2"], "f" * 16),
        new_identifiers(),
        new_identifiers(),
    ]
    assert len({uid for each in (uids, *others) for uid in each}) == 6 * len(uids)
    assert all(len(uid) <= 64 and uid.startswith("2.25.") for uid in uids)
