"""Coded concepts of findings, places and headings.

Codes of public schemes are taken from pydicom's dictionary of PS3.16, so a code that is not there is an error. What the
dictionary lacks, or has only for something narrower, has a code of our own scheme, which each document declares.
"""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr.coding import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

SCHEME = "99AMMRG"
"""Designator of our own scheme; 99 marks a private one (PS3.16, chapter 8)."""

PUBLIC: dict[str, Code] = {
    "Cardiomegaly": codes.SCT.Cardiomegaly,
    "Lung Opacity": codes.DCM.Opacity,
    "Edema": codes.SCT.PulmonaryEdema,
    "Pneumothorax": codes.SCT.Pneumothorax,
    "Pleural Effusion": codes.SCT.PleuralEffusion,
}
"""Findings that a public scheme has with the same meaning."""
SHORT = {"Enlarged Cardiomediastinum": "enlarged-cm"}
"""Codes of our scheme that are not the finding's name: a code has at most 16 characters."""
SIDES: dict[frozenset[str], Code] = {
    frozenset(("left",)): codes.SCT.Left,
    frozenset(("right",)): codes.SCT.Right,
    frozenset(("left", "right")): codes.SCT.Bilateral,
}
ZONES: dict[str, Code] = {
    "upper": codes.SCT.UpperZoneOfLung,
    "mid": codes.SCT.MiddleZoneOfLung,
    "lower": codes.SCT.LowerZoneOfLung,
}
IN_LUNG = ("Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia", "Atelectasis")
"""Findings whose level is a zone of the lung; that of others, such as a fracture, is only as high as one."""

REPORT_TITLE: Code = codes.LN.DiagnosticImagingReport
FINDINGS_HEADING: Code = codes.LN.Findings
FINDING: Code = codes.DCM.Finding
COMMENT: Code = codes.DCM.Comment
PROBABILITY: Code = codes.DCM.Probability
THRESHOLD: Code = codes.DCM.ThresholdValue
PRESENCE: Code = codes.DCM.PresenceOfProperty
PRESENT: Code = codes.DCM.Present
ABSENT: Code = codes.DCM.Absent
LATERALITY: Code = codes.SCT.Laterality
SITE: Code = codes.SCT.FindingSite
SOURCE_IMAGE: Code = codes.DCM.SourceImageForImageProcessingOperation
NO_UNITS: Code = codes.UCUM.NoUnits
ENGLISH = CodedConcept("en", "RFC5646", "English")
BELOW_THRESHOLD = CodedConcept("below-threshold", SCHEME, "Finding below its threshold")
NOT_PRESENT_HEADING = CodedConcept("below-list", SCHEME, "Findings below their thresholds")
NOTICE_HEADING = CodedConcept("notice", SCHEME, "Notice")


def concept(code: Code | CodedConcept) -> CodedConcept:
    """Return a code as highdicom's type."""
    return code if isinstance(code, CodedConcept) else CodedConcept.from_code(code)


def finding_concept(name: str) -> CodedConcept:
    """Return the code of one of :data:`ammrg.findings.FINDINGS`."""
    if name in PUBLIC:
        return concept(PUBLIC[name])
    return CodedConcept(SHORT.get(name) or name.lower().replace(" ", "-"), SCHEME, name)


def side_concept(places: Sequence[str]) -> CodedConcept | None:
    """Return the code of the sides among a finding's places; None where there is none."""
    code = SIDES.get(frozenset(places) & {"left", "right"})
    return None if code is None else concept(code)


def level_concepts(finding: str, places: Sequence[str]) -> list[CodedConcept]:
    """Return the codes of the levels among a finding's places: zones of the lung, or heights on the film."""
    levels = [word for word in ZONES if word in places]
    if finding in IN_LUNG:
        return [concept(ZONES[word]) for word in levels]
    return [CodedConcept(f"level-{word}", SCHEME, f"At the height of the {word} zone of the lung") for word in levels]


def own_scheme() -> CodingSchemeIdentificationItem:
    """Declare our scheme (PS3.3, C.12.1.1.1)."""
    return CodingSchemeIdentificationItem(
        SCHEME, name="AM-MRG findings", version="1", responsible_organization="The developers of AM-MRG"
    )
