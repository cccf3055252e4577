"""Reads MIMIC-CXR-JPG's official tables and R2Gen's annotation of it, and checks every id.

Paths are made from ids, so an id that does not have the documented form is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ammrg.errors import DataError
from ammrg.findings import FINDINGS
from ammrg.ids import plain_id
from ammrg.text.blank import text_or_empty
from datamodules.sources.r2gen import read_annotation
from datamodules.sources.tables import add_labels, finding_labels, read_csv

TABLE = re.compile(r"mimic-cxr-(?P<version>[0-9.]+)-(?P<kind>split|metadata|chexpert|negbio)\.csv(?:\.gz)?")
"""File names of the official tables, of any version, plain or gzipped."""

PATTERNS = {
    "subject_id": r"[0-9]{8}",
    "study_id": r"[0-9]{8}",
    "dicom_id": r"[0-9a-f]{8}(?:-[0-9a-f]{8}){4}",
}
"""The form of each id."""
NAMED = re.compile(rf"s({PATTERNS['study_id']})")
"""A study id as it occurs in the names of its folder and its report."""
IDS = {field: re.compile(pattern) for field, pattern in PATTERNS.items()}
FILM = re.compile(
    r"(?:files/)?p(?P<group>[0-9]{2})"
    rf"/p(?=(?P=group))(?P<subject_id>{PATTERNS['subject_id']})"
    rf"/s(?P<study_id>{PATTERNS['study_id']})/(?P<dicom_id>{PATTERNS['dicom_id']})\.jpg"
)
SPLIT_NAMES = {"train": "train", "validate": "val", "test": "test"}
PROJECTIONS = {
    **dict.fromkeys(("PA", "AP", "AP AXIAL", "AP LLD", "AP RLD", "PA LLD", "PA RLD"), "frontal"),
    **dict.fromkeys(("LATERAL", "LL"), "lateral"),
}
"""ViewPosition -> projection; obliques, swimmer's views and empty cells are ``unknown``."""


class Film(NamedTuple):
    """One film of the split table or the annotation, with checked ids."""

    subject_id: str
    study_id: str
    dicom_id: str
    split: str
    where: str
    """File and row, for error messages."""


def find_tables(raw: Path) -> dict[str, Path]:
    """The official tables that are present: kind -> file; the plain one if it is also there gzipped.

    Raises:
        DataError: a kind is present in two versions.
    """
    found: dict[str, dict[str, Path]] = {}
    for name in sorted(os.listdir(raw)):
        if match := TABLE.fullmatch(name):
            found.setdefault(match["kind"], {}).setdefault(match["version"], raw / name)
    for kind, versions in found.items():
        if len(versions) > 1:
            raise DataError(f"{raw}: {kind} tables of versions {' and '.join(versions)}; keep only the one to read")
    return {kind: path for kind, versions in found.items() for path in versions.values()}


def read_examples(path: Path) -> tuple[list[Film], dict[str, str]]:
    """Read an annotation: its films, and study id -> text (the first, if a study has several examples).

    Ids are taken from a film's path, since not every annotation has id fields.

    Raises:
        DataError: the file is not in its format, or a path is not one of MIMIC-CXR-JPG.
    """
    films: list[Film] = []
    written: dict[str, str] = {}
    for entry in read_annotation(path):
        where = f"{path}: {entry.split} (id {entry.id})"
        for film in entry.films:
            match = FILM.fullmatch(film)
            if match is None:
                raise DataError(
                    f"{where}: image_path is {film!r}; expected p10/p10000032/s50414267/DICOM_ID.jpg, where DICOM_ID "
                    "is five groups of eight hex digits"
                )
            films.append(Film(match["subject_id"], match["study_id"], match["dicom_id"], entry.split, where))
            written.setdefault(match["study_id"], text_or_empty(entry.report))
    return films, written


def read_split(path: Path) -> Iterator[Film]:
    """The films of the split table, in its order.

    Raises:
        DataError: a column is missing, or an id or a split does not have the documented form; the message names row
            and field.
    """
    for number, line in read_csv(path, (*IDS, "split")):
        where = f"{path}: row {number}"
        check_ids(line, where)
        if line["split"] not in SPLIT_NAMES:
            raise DataError(f"{where}: split is {line['split']!r}; expected one of {', '.join(SPLIT_NAMES)}")
        yield Film(line["subject_id"], line["study_id"], line["dicom_id"], SPLIT_NAMES[line["split"]], where)


def read_projections(path: Path) -> dict[str, str]:
    """Read the metadata table: dicom_id -> ``frontal``, ``lateral`` or ``unknown``.

    Raises:
        DataError: a column is missing, or an id does not have the documented form.
    """
    projections = {}
    for number, line in read_csv(path, ("dicom_id", "ViewPosition")):
        check_ids(line, f"{path}: row {number}")
        projections[line["dicom_id"]] = PROJECTIONS.get(line["ViewPosition"].upper(), "unknown")
    return projections


def read_labels(path: Path) -> dict[str, tuple[float, ...]]:
    """Read the CheXpert or NegBio table: study id -> 14 labels in the order of FINDINGS.

    Raises:
        DataError: a column is missing, an id does not have the documented form, a cell is not 1, 0, -1 or empty, or two
            rows of a study differ.
    """
    labels: dict[str, tuple[float, ...]] = {}
    for number, line in read_csv(path, ("study_id", *FINDINGS)):
        where = f"{path}: row {number}"
        # Programs that make or merge label tables write 50414267.0, or take s50414267 from a path.
        line["study_id"] = NAMED.sub(r"\1", plain_id(line["study_id"]))
        check_ids(line, where)
        add_labels(labels, line["study_id"], finding_labels(line, where), where)
    return labels


def check_ids(line: Mapping[str, str], where: str) -> None:
    """Refuse a row with an id that does not have the documented form.

    Raises:
        DataError: an id has another form; the message starts with ``where`` and names the field.
    """
    for field, pattern in IDS.items():
        if field in line and not pattern.fullmatch(line[field]):
            raise DataError(f"{where}: {field} is {line[field]!r}; expected the form {PATTERNS[field]}")
