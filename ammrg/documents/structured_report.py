"""The DICOM structured report of a description (Enhanced SR, laid out like TID 2000)."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence

from highdicom.sr.coding import CodedConcept
from highdicom.sr.enum import RelationshipTypeValues as Relation
from highdicom.sr.sop import EnhancedSR
from highdicom.sr.templates import (
    AlgorithmIdentification,
    DeviceObserverIdentifyingAttributes,
    LanguageOfContentItemAndDescendants,
    ObserverContext,
)
from highdicom.sr.value_types import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from ammrg.documents import concepts
from ammrg.documents.concepts import concept
from ammrg.documents.identifiers import NAMESPACE, DocumentIdentifiers
from ammrg.documents.quiet import quiet_libraries
from ammrg.documents.remarks import remarks
from ammrg.documents.source_films import UTF_8, SourceFilms
from ammrg.documents.statement import DEVICE_MODEL, MANUFACTURER, SERIES, VERSION, plain, series_description
from ammrg.documents.told_findings import told_figures, told_findings
from ammrg.inference.description import Description

SERIES_NUMBER = 9901
"""High, so that viewers list it after the films."""


def structured_report(
    description: Description,
    films: SourceFilms,
    identifiers: DocumentIdentifiers,
    predecessors: Sequence[Dataset] = (),
) -> EnhancedSR:
    """Make the structured report.

    It is complete, preliminary and unverified; its observer is a device, the model. The report's text comes first, then
    the findings above their thresholds, then the others under a heading and a concept of their own, so that a reader
    that passes over the property "present" does not take them for found.

    Args:
        description: of the study.
        films: of the study; all are evidence, in this order.
        identifiers: the document's UIDs.
        predecessors: earlier structured reports that this one corrects: data sets with their four UIDs.
    """
    with quiet_libraries():
        report = EnhancedSR(
            evidence=films.all,
            content=_content(description, films),
            series_instance_uid=identifiers.report_series,
            series_number=SERIES_NUMBER,
            sop_instance_uid=identifiers.report,
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=DEVICE_MODEL,
            software_versions=VERSION,
            device_serial_number=description.model or "unknown",
            series_description=series_description(SERIES, description.operating_point, bool(predecessors)),
            is_complete=True,
            is_final=False,
            is_verified=False,
            previous_versions=list(predecessors) or None,
            specific_character_set=UTF_8,
            coding_schemes=[concepts.own_scheme()],
        )
    return report


def _content(description: Description, films: SourceFilms) -> Dataset:
    root = ContainerContentItem(concept(concepts.REPORT_TITLE), template_id="2000")
    root.ContentSequence = ContentSequence(
        [
            *LanguageOfContentItemAndDescendants(concepts.ENGLISH),
            *_observer(description.model),
            _container(concepts.NOTICE_HEADING, [_text(text) for text in remarks(description)]),
            _container(concepts.FINDINGS_HEADING, _findings(description, films)),
            _container(concepts.NOT_PRESENT_HEADING, _below(description)),
        ]
    )
    return root


def _observer(model: str) -> Iterator[ContentItem]:
    """Name the device that observed (TID 1004)."""
    uid = f"2.25.{uuid.uuid5(NAMESPACE, f'device|{model}').int}"
    attributes = DeviceObserverIdentifyingAttributes(
        uid=uid,
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=f"{DEVICE_MODEL} {VERSION}",
        serial_number=model or None,
    )
    yield from ObserverContext(concept(codes.DCM.Device), attributes)


def _findings(description: Description, films: SourceFilms) -> Iterator[ContentItem]:
    """The report's text, the findings that are present, how they were found, and the films."""
    yield from AlgorithmIdentification(
        MANUFACTURER, VERSION, [f"model fingerprint {description.model}"] if description.model else None
    )
    yield TextContentItem(concept(concepts.FINDING), plain(description.report), Relation.CONTAINS)
    for name, present in told_findings(description).items():
        if present:
            yield _finding(description, name, concept(concepts.FINDING), concept(concepts.PRESENT))
    for film in films.read:
        yield ImageContentItem(
            concept(concepts.SOURCE_IMAGE), film.SOPClassUID, film.SOPInstanceUID, relationship_type=Relation.CONTAINS
        )


def _below(description: Description) -> Iterator[ContentItem]:
    for name, present in told_findings(description).items():
        if not present:
            yield _finding(description, name, concepts.BELOW_THRESHOLD, concept(concepts.ABSENT))


def _finding(description: Description, name: str, kind: CodedConcept, presence: CodedConcept) -> CodeContentItem:
    """One finding with its presence, probability, threshold and place."""
    item = CodeContentItem(kind, concepts.finding_concept(name), Relation.CONTAINS)
    places = description.places.get(name, ())
    shown = told_figures(description, name)
    properties: list[ContentItem] = [
        CodeContentItem(concept(concepts.PRESENCE), presence, Relation.HAS_PROPERTIES),
        _number(concept(concepts.PROBABILITY), shown.probability),
        _number(concept(concepts.THRESHOLD), shown.threshold),
    ]
    if (side := concepts.side_concept(places)) is not None:
        properties.append(CodeContentItem(concept(concepts.LATERALITY), side, Relation.HAS_PROPERTIES))
    for level in concepts.level_concepts(name, places):
        properties.append(CodeContentItem(concept(concepts.SITE), level, Relation.HAS_PROPERTIES))
    item.ContentSequence = ContentSequence(properties)
    return item


def _number(name: CodedConcept, written: str) -> NumContentItem:
    item = NumContentItem(name, float(written), concept(concepts.NO_UNITS), relationship_type=Relation.HAS_PROPERTIES)
    # highdicom leaves zeros at the end out, and viewers show this text; a decimal string has at most 16 characters
    item.MeasuredValueSequence[0].NumericValue = written[:16]
    return item


def _text(text: str) -> TextContentItem:
    return TextContentItem(concept(concepts.COMMENT), text, Relation.CONTAINS)


def _container(name: Code | CodedConcept, items: Iterable[ContentItem]) -> ContainerContentItem:
    container = ContainerContentItem(concept(name), relationship_type=Relation.CONTAINS)
    container.ContentSequence = ContentSequence(list(items))
    return container
