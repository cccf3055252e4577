"""The files of CheXpert Plus, read film by film: the table of reports, CheXbert's labels, and an R2Gen annotation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from rich.progress import track

from ammrg.errors import DataError
from ammrg.findings import FINDINGS
from ammrg.text.blank import text_or_empty
from ammrg.types import Study
from datamodules.sources.r2gen import inside, read_annotation, stem
from datamodules.sources.source_reading import Section, section_text
from datamodules.sources.splits import hash_split
from datamodules.sources.tables import add_labels, finding_labels, read_csv

COLUMNS = (
    *("path_to_image", "frontal_lateral", "deid_patient_id", "split"),
    *("section_clinical_history", "section_history", "section_findings", "section_impression"),
)
FILM = re.compile(r"(?:.*/)?(patient\w+/study\w+/[^/]+?)(?:\.jpg|\.png)?")
SHAPE = "train/patient<n>/study<n>/<film>.jpg"
VAL_SHARE = 0.02
"""Share of the patients of ``train`` that become validation: about 1,300, compared with 200 in ``valid``."""


class Record(NamedTuple):
    """One film, with its study as the film's own copy of the report describes it."""

    film: str
    """Path as the data set writes it."""
    projection: str
    """``frontal``, ``lateral`` or ``unknown``."""
    study: Study
    """The study, without views; labels are CheXbert's, or empty if it has none for the section."""


def film_key(film: str) -> str | None:
    """The part of a film's path that is the same in table, labels and annotation; None for any other path.

    Example: ``train/patient1/study2/view1_frontal.jpg`` -> ``patient1/study2/view1_frontal``.
    """
    match = FILM.fullmatch(film)
    return match.group(1) if match else None


def study_name(key: str) -> str:
    """A unique study id that can be a file name: ``patient1/study2/view1_frontal`` -> ``patient1_study2``."""
    patient, study, _ = key.split("/")
    return f"{patient}_{study}"


def folded(text: str) -> str:
    """The text with single spaces and without empty lines; empty if it says nothing.

    Line breaks stay, because they mark the numbers of lists ("1. ...").
    """
    return "\n".join(" ".join(line.split()) for line in text_or_empty(text).splitlines() if line.strip())


def check_patient(splits: dict[str, str], patient: str, split: str, where: str) -> None:
    """Note the split of a patient.

    Raises:
        DataError: the patient was in another split before; the message starts with ``where``.
    """
    if (other := splits.setdefault(patient, split)) != split:
        raise DataError(
            f"{where}: patient {patient} is in {other} and in {split}, which would leak films into training; "
            "give each patient one split"
        )


def read_table(path: Path, labels: Mapping[str, tuple[float, ...]], section: Section, seed: int) -> dict[str, Record]:
    """Read the table: film key -> its row.

    Args:
        path: the table.
        labels: film key -> CheXbert's labels. CheXbert labels an empty section "No Finding"; those are ignored.
        section: the section that was labelled.
        seed: seed that decides which patients of ``train`` become validation; ``valid`` becomes test.

    Raises:
        DataError: a column is missing, a path leaves the folder or names no patient and study, a film occurs twice, a
            patient is missing or in two splits, a study has two patients, or a split is neither train nor valid.
    """
    records: dict[str, Record] = {}
    splits: dict[str, str] = {}
    owners: dict[str, str] = {}
    for number, line in track(read_csv(path, COLUMNS), f"reading {path.name}", transient=True):
        where = f"{path}: row {number}"
        film, patient, split = line["path_to_image"], line["deid_patient_id"], line["split"]
        key = film_key(inside(film, f"{where}: path_to_image"))
        if key is None:
            raise DataError(f"{where}: path_to_image is {film!r}; expected {SHAPE}")
        if key in records:
            raise DataError(f"{where}: path_to_image {film} occurs twice; each film has one row")
        if not patient:
            raise DataError(f"{where}: deid_patient_id is empty; splits are by patient, so each film needs its patient")
        if split not in ("train", "valid"):
            raise DataError(f"{where}: split is {split!r}; expected train or valid")
        check_patient(splits, patient, split, f"{where}: deid_patient_id")
        study_id = study_name(key)
        if (owner := owners.setdefault(study_id, patient)) != patient:
            raise DataError(
                f"{where}: deid_patient_id is {patient}, but another film of study {study_id} has {owner}; correct one"
            )
        study = Study(
            study_id=study_id,
            subject_id=patient,
            split="test" if split == "valid" else hash_split(patient, seed, val=VAL_SHARE, test=0.0),
            views=(),
            findings=folded(line["section_findings"]),
            impression=folded(line["section_impression"]),
            indication=folded(line["section_clinical_history"] or line["section_history"]),
            labels=(),
            source="csv",
        )
        if section_text(study, section):
            study = study._replace(labels=labels.get(key, ()))
        projection = line["frontal_lateral"].lower()
        records[key] = Record(film, projection if projection in ("frontal", "lateral") else "unknown", study)
    return records


def read_labels(path: Path) -> dict[str, tuple[float, ...]]:
    """Read CheXbert's labels: film key -> 14 labels (1, 0, -1, NaN for null); empty if there is no such file.

    Raises:
        DataError: a line is not a JSON object, names no film, lacks a finding, has a label other than 1, 0, -1 and
            null, or contradicts another line about the same film.
    """
    labels: dict[str, tuple[float, ...]] = {}
    if not path.is_file():
        return labels
    for where, content in track(json_lines(path), f"reading {path.name}", transient=True):
        key = film_key(str(content.get("path_to_image")))
        if key is None:
            raise DataError(f"{where}: path_to_image is {content.get('path_to_image')!r}; expected {SHAPE}")
        absent = [name for name in FINDINGS if name not in content]
        if absent:
            raise DataError(f"{where} ({key}) has no field '{absent[0]}'; its fields are {', '.join(content)}")
        cells = {name: "" if content[name] is None else str(content[name]) for name in FINDINGS}
        add_labels(labels, key, finding_labels(cells, f"{where} ({key})"), where, "film")
    return labels


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """The objects of a JSON Lines file, each with its place for error messages; blank lines are skipped.

    Raises:
        DataError: a line is not a JSON object in UTF-8.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            where = f"{path}: line {number}"
            try:
                content = json.loads(line)
            except ValueError as error:
                raise DataError(f"{where}: cannot be read as JSON in UTF-8: {error}") from error
            if not isinstance(content, dict):
                raise DataError(f"{where} is {type(content).__name__}, not an object")
            yield where, content


def read_entries(path: Path, known: Mapping[str, Record], section: Section) -> list[Record]:
    """Read the films of an annotation, each once, and add what the table says about them.

    Args:
        path: the annotation; its text becomes the target section, or the findings for ``both``.
        known: film key -> its row of the table; empty without a table.
        section: the target text.

    Raises:
        DataError: the file is not an annotation, or a patient or a film is in two splits.
    """
    records: dict[str, Record] = {}
    splits: dict[str, str] = {}
    for entry in read_annotation(path):
        text = folded(entry.report)
        for film in entry.films:
            key = film_key(film)
            # Without a table the patient comes from the path or, if it has another form, from the annotation.
            ids = (study_name(key), key.split("/")[0]) if key else (entry.study_id, entry.subject_id)
            bare = Record(film, "unknown", Study(*ids, entry.split, (), "", "", "", (), ""))
            _, projection, study = known.get(key or "", bare)
            check_patient(splits, study.subject_id, entry.split, f"{path}: {entry.split}, id {entry.id}")
            study = study._replace(split=entry.split, source="r2gen")
            study = study._replace(impression=text) if section == "impression" else study._replace(findings=text)
            record = records.setdefault(stem(film), Record(film, projection, study))
            if record.study.split != entry.split:
                raise DataError(
                    f"{path}: film {film} is in {record.study.split} and in {entry.split} (id {entry.id}), which "
                    "would leak it; leave one of them out"
                )
    return list(records.values())
