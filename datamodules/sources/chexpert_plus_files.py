"""CheXpert Plus film by film: the table of reports, CheXbert's labels, an R2Gen annotation of the same films."""

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
from datamodules.sources import Section, section_text
from datamodules.sources.r2gen import inside, read_annotation, stem
from datamodules.sources.splits import hash_split
from datamodules.sources.tables import add_labels, finding_labels, read_csv

COLUMNS = (
    *("path_to_image", "frontal_lateral", "deid_patient_id", "split"),
    *("section_clinical_history", "section_history", "section_findings", "section_impression"),
)
FILM = re.compile(r"(?:.*/)?(patient\w+/study\w+/[^/]+?)(?:\.jpg|\.png)?")
SHAPE = "train/patient<n>/study<n>/<film>.jpg"
VAL_SHARE = 0.02
"""Of the patients of ``train``: about 1,300, where ``valid`` has 200."""


class Record(NamedTuple):
    """One film, and its study as the report that came with it tells it."""

    film: str
    """Its path as the data set writes it."""
    projection: str
    """``frontal``, ``lateral`` or ``unknown``."""
    study: Study
    """Without views; labels are CheXbert's, or empty where it has none of the section asked for."""


def film_key(film: str) -> str | None:
    """What table, labels and annotation share of a film: ``train/patient1/study2/view1_frontal.jpg`` ->
    ``patient1/study2/view1_frontal``; None for a path of another shape."""
    match = FILM.fullmatch(film)
    return match.group(1) if match else None


def study_name(key: str) -> str:
    """``patient1/study2/view1_frontal`` -> ``patient1_study2``: fit for a file name, and no other study's."""
    patient, study, _ = key.split("/")
    return f"{patient}_{study}"


def folded(text: str) -> str:
    """Single spaces within a line, and no empty line. Lines stay: their numbers ("1. ...") are known by them. Empty
    where the text says nothing."""
    return "\n".join(" ".join(line.split()) for line in text_or_empty(text).splitlines() if line.strip())


def check_patient(splits: dict[str, str], patient: str, split: str, where: str) -> None:
    """Note the split of a patient.

    Raises:
        DataError: it was in another split before; ``where`` opens the message.
    """
    if (other := splits.setdefault(patient, split)) != split:
        raise DataError(
            f"{where}: patient {patient} stands in {other} and in {split}, which would leak its films; "
            "give each patient one split"
        )


def read_table(path: Path, labels: Mapping[str, tuple[float, ...]], section: Section, seed: int) -> dict[str, Record]:
    """Film key -> its row.

    Args:
        path: the table.
        labels: film key -> CheXbert's labels. Of an empty section they say "No Finding": those are left.
        section: the one that was labelled.
        seed: of the patients of ``train`` that go to validation; ``valid`` becomes the test part.

    Raises:
        DataError: a column is missing, a path leaves the folder or names no patient and study, a film stands twice, a
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
            raise DataError(f"{where}: path_to_image {film} stands twice; each film has one row")
        if not patient:
            raise DataError(f"{where}: deid_patient_id is empty; splits are by patient, so each film needs one")
        if split not in ("train", "valid"):
            raise DataError(f"{where}: split is {split!r}; expected train or valid")
        check_patient(splits, patient, split, f"{where}: deid_patient_id")
        study_id = study_name(key)
        if (owner := owners.setdefault(study_id, patient)) != patient:
            raise DataError(f"{where}: deid_patient_id is {patient}, another film of study {study_id} says {owner}")
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
    """Film key -> CheXbert's 14 labels (1, 0, -1, NaN for null); empty where there is no such file.

    Raises:
        DataError: a line is not a JSON object, names no film, lacks a finding, has a label that is none of 1, 0, -1 and
            null, or labels a film otherwise than another line.
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
            raise DataError(f"{where} ({key}) has no field '{absent[0]}'; it has {', '.join(content)}")
        cells = {name: "" if content[name] is None else str(content[name]) for name in FINDINGS}
        add_labels(labels, key, finding_labels(cells, f"{where} ({key})"), where, "film")
    return labels


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Where each object of a JSON Lines file stands, for messages, and the object; blank lines are passed over.

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
    """The films of an annotation, each once, with what the table says of it.

    Args:
        path: the annotation; its text is taken as the section asked for, as findings for ``both``.
        known: film key -> its row of the table; empty where there is no table.
        section: the target text.

    Raises:
        DataError: not an annotation, or a patient or a film in two splits.
    """
    records: dict[str, Record] = {}
    splits: dict[str, str] = {}
    for entry in read_annotation(path):
        text = folded(entry.report)
        for film in entry.films:
            key = film_key(film)
            # Without a table the path tells the patient; a path of another shape leaves what the annotation says.
            ids = (study_name(key), key.split("/")[0]) if key else (entry.study_id, entry.subject_id)
            bare = Record(film, "unknown", Study(*ids, entry.split, (), "", "", "", (), ""))
            _, projection, study = known.get(key or "", bare)
            check_patient(splits, study.subject_id, entry.split, f"{path}: {entry.split}, id {entry.id}")
            study = study._replace(split=entry.split, source="r2gen")
            study = study._replace(impression=text) if section == "impression" else study._replace(findings=text)
            record = records.setdefault(stem(film), Record(film, projection, study))
            if record.study.split != entry.split:
                raise DataError(
                    f"{path}: film {film} stands in {record.study.split} and in {entry.split} (id {entry.id}), which "
                    "would leak it; leave one of them out"
                )
    return list(records.values())
