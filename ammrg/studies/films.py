"""One film before it is decoded: where its bytes are, its projection, and to which study it says that it belongs."""

from __future__ import annotations

from typing import Any, NamedTuple

from ammrg.fingerprints import bytes_fingerprint
from ammrg.imaging.attributes import whole
from ammrg.imaging.reading import in_one_sentence, read_header
from ammrg.studies.identity import Exposure, Patient, plain
from ammrg.studies.projection import Choice, Projection, projection_in, sides_in, turned
from ammrg.studies.records import DicomReference, StudyView
from ammrg.studies.sources import Source, natural

FACING = ("R", "L")
"""Left and right edge of a frontal film, where the file does not say more."""
UNNAMED = Projection("frontal", "nothing names its projection: read as frontal")


class Film(NamedTuple):
    """A film of a study, not decoded."""

    source: Source
    view: StudyView
    order: tuple[Any, ...]
    """Sorts the films of a study, whatever the order of their files."""
    study_uid: str = ""
    """StudyInstanceUID; empty where there is none."""
    patient: Patient | None = None
    """None: it is not DICOM."""
    exposure: Exposure | None = None
    """None: it is not DICOM."""


def examine(source: Source, number: int, chosen: Choice | None = None) -> Film:
    """Read a film's bytes and what its header says.

    Args:
        source: of its bytes.
        number: its place among the films that were named, from 1; it orders pictures that were named one by one.
        chosen: its projection, where a person chose one; the film then carries a warning if its tags say another.

    Raises:
        ReadError: the bytes are no chest film.
    """
    with in_one_sentence(source.path):
        data = source.read()
        tags = read_header(data, source.path)
        return _film(source, data, tags, number, chosen)


def _film(source: Source, data: bytes, tags: Any, number: int, chosen: Choice | None) -> Film:
    said = None if tags is None else projection_in(tags)
    projection = said or UNNAMED
    doubts = []
    if chosen is not None and (said is None or said.name != chosen):
        projection = Projection(chosen, f"named as {chosen}")
        doubts += [] if said is None else [f"{projection.why}, but {said.why}"]
    view = StudyView(
        path=source.path,
        projection=projection.name,
        why=projection.why,
        fingerprint=bytes_fingerprint(data),
        sides=FACING if projection.name == "frontal" else None,
    )
    if tags is None:
        named = (number,) if not source.place else natural(source.path)
        return Film(source, view, (1, *named))
    found = turned(tags, projection.name)
    doubts += [] if found is None else [found]
    view = view._replace(
        dicom=_reference(tags),
        sides=sides_in(tags) or (view.sides if found is None else None),
        warning="; ".join(doubts),
    )
    numbers = (_number(tags, "SeriesNumber"), _number(tags, "InstanceNumber"))
    order = (0, *numbers, plain(tags, "SOPInstanceUID"), view.fingerprint)
    return Film(source, view, order, plain(tags, "StudyInstanceUID"), Patient.of(tags), Exposure.of(tags))


def _number(tags: Any, keyword: str) -> int:
    try:
        return whole(tags, keyword, 0)
    except ValueError:
        return 0  # it only orders films


def _reference(tags: Any) -> DicomReference | None:
    """None where the file lacks one of the UIDs, so that nothing can refer to it."""
    keywords = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
    found = [plain(tags, keyword) for keyword in keywords]
    return DicomReference(found[0], found[1], found[2], found[3]) if all(found) else None
