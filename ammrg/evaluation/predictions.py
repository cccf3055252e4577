"""Predictions files of any system (reports.jsonl, a CSV, or ReXrank's JSON) -> the texts and ids of each study.

A file that cannot be scored is an error, which names the place and what to do: missing, repeated or unknown ids, fields
or columns named twice, empty references, studies of several splits, patients given for some studies only. White space
around an id is ignored. A text that says nothing ("nan", "---") is empty, and white space of any kind is one space.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ammrg.atomic import write_json
from ammrg.errors import ScoringError
from ammrg.evaluation.column_names import columns_of_references, columns_of_reports, no_field, own_names
from ammrg.evaluation.findings_tables import FindingsTable, findings_table
from ammrg.evaluation.prediction_fields import (
    film_boxes,
    id_text,
    in_training,
    is_missing,
    plain_text,
    retrieved_texts,
)
from ammrg.evaluation.prediction_files import (
    AS_THEY_ARE,
    LAYOUTS,
    TABLES,
    csv_rows,
    file_text,
    json_lines,
    refuse_archive,
    study_rows,
)
from ammrg.evaluation.reports_meta import thresholds_in
from ammrg.missing_file import advice
from ammrg.spreadsheet_damage import ADVICE, changed_ids, looks_rounded
from ammrg.text.blank import scored_text
from ammrg.types import FilmBox

GROUPS = ("baselines", "guards")
"""Folders beside reports.jsonl with files that are scored too."""

Fields = TypeVar("Fields", bound=Mapping[str, Any])
"""The fields of one study."""


class Line(NamedTuple):
    """One study to score."""

    study_id: str
    subject_id: str
    """The study's own id if the file names no patients."""
    reference: str
    generated: str
    reference_in_training: bool | None = None
    """Whether the reference is also a training report, word for word; None if the file does not say."""
    retrieved: tuple[str, ...] = ()
    """Texts of the reports that the memory retrieved for the study."""
    boxes: tuple[FilmBox, ...] = ()
    """The places of the study's findings on its films; empty if they are not known."""
    table: FindingsTable | None = None
    """What the network found on the films; None if the file does not say."""


class System(NamedTuple):
    """One predictions file; its studies are sorted by id."""

    group: str
    """Empty for the reports themselves, else ``baselines``, ``guards`` or ``against``."""
    name: str
    path: Path
    lines: list[Line]


def read_lines(
    path: Path,
    references: Mapping[str, Mapping[str, Any]] | None = None,
    run: Path | None = None,
    columns: Mapping[str, str] = AS_THEY_ARE,
) -> list[Line]:
    """Read one predictions file; the studies are sorted by id.

    Args:
        path: a file, see :data:`ammrg.evaluation.prediction_files.LAYOUTS`.
        references: from :func:`read_references`, for a file that has only generated reports; both must have the same
            studies.
        run: the folder whose ``reports.meta.json`` says how the reports were made; None: the file's own.
        columns: other names of its columns, see :func:`ammrg.evaluation.prediction_files.study_rows`.

    Raises:
        ScoringError: if the file cannot be scored.
    """
    named = columns_of_reports(columns, references is not None)
    rows = list(study_rows(path, named, needed_fields("generated", named, patients_elsewhere=references is not None)))
    if references is None:
        check_references(path, rows, named)
    else:
        rows = with_references(path, rows, references)
    lines = lines_of(str(path), rows, thresholds_in(run or path.parent))
    absent = (references or {}).keys() - {line.study_id for line in lines}
    if absent:
        raise ScoringError(
            f"{path}: lacks {len(absent)} studies of the references file (first: {min(absent)}); write reports "
            "for them, or take them out of the references."
        )
    return lines


def needed_fields(text: str, columns: Mapping[str, str], *, patients_elsewhere: bool = False) -> tuple[str, ...]:
    """The fields that a file of texts must have: the patient only if ``columns`` name it, and no other file may."""
    return ("study_id", text, *(() if patients_elsewhere else {"subject_id"} & columns.keys()))


def check_references(
    path: Path, rows: Sequence[tuple[str, Mapping[str, Any]]], columns: Mapping[str, str] = AS_THEY_ARE
) -> None:
    """Refuse a predictions file that should have its own references, but lacks some or all.

    Raises:
        ScoringError: says what it has.
    """
    if rows and not any(row.get("reference") for _, row in rows):
        found = own_names(rows[0][1], columns)
        raise ScoringError(
            f"{path}: none of its {len(rows)} studies has a reference (found {found}); give the file that holds them "
            "with --references, or name their column with --columns reference=COLUMN."
        )
    for where, row in rows:
        if "reference" not in row:
            raise no_field(where, "reference", own_names(row, columns), columns)


def lines_of(
    name: str, rows: Iterable[tuple[str, Mapping[str, Any]]], thresholds: Mapping[str, float] | None = None
) -> list[Line]:
    """Check the fields of studies, and sort the studies by id.

    Args:
        name: the name of their file, for messages.
        rows: (place, fields) of each study.
        thresholds: above which probability a finding is present; None: not known.

    Raises:
        ScoringError: if the studies cannot be scored.
    """
    lines: dict[str, Line] = {}
    splits: set[str] = set()
    has_patient: set[bool] = set()
    for study_id, (where, row) in rows_by_id(rows).items():
        generated, written = (plain_text(where, row, field) for field in ("generated", "reference"))
        reference = scored_reference(where, study_id, written)
        splits.add(plain_text(where, row, "split") if row.get("split") is not None else "")
        subject_id = patient_of(where, row, has_patient)
        lines[study_id] = Line(
            study_id,
            subject_id or study_id,
            reference,
            scored_text(generated),
            in_training(where, row.get("reference_in_training")),
            retrieved_texts(where, row.get("reports")),
            film_boxes(where, row.get("boxes")),
            findings_table(where, row.get("findings"), thresholds),
        )
    if not lines:
        raise ScoringError(f"{name}: no studies; there is nothing to score.")
    if len(splits) > 1:
        names = ", ".join(split or "none" for split in sorted(splits))
        raise ScoringError(f"{name}: studies of several splits ({names}); score one at a time.")
    return [lines[study_id] for study_id in sorted(lines)]


def patient_of(where: str, row: Mapping[str, Any], has_patient: set[bool]) -> str:
    """The patient of a study; empty if the row names none.

    Args:
        where: the place of the row, for the message.
        row: fields of the study.
        has_patient: whether the rows before name one; this row's answer is added.

    Raises:
        ScoringError: some rows name one, and others do not.
    """
    patient = id_text(where, row, "subject_id") if row.get("subject_id") is not None else ""
    has_patient.add(bool(patient))
    if len(has_patient) > 1:
        raise ScoringError(f"{where}: field 'subject_id' is given for some studies only; give it for all or none.")
    return patient


def scored_reference(where: str, study_id: str, written: str) -> str:
    """The text of a reference as it is scored.

    Raises:
        ScoringError: it says nothing; names the place.
    """
    reference = scored_text(written)
    if not reference:
        written = written.strip()
        empty = f"the reference {written!r}, which says nothing" if written else "an empty reference"
        raise ScoringError(f"{where}: study {study_id} has {empty}; leave such studies out.")
    return reference


def with_references(
    path: Path, rows: Sequence[tuple[str, dict[str, Any]]], references: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, dict[str, Any]]]:
    """Rows of predictions with the references of another file in place of their own.

    Raises:
        ScoringError: if studies are not in the references file; says how many, and names the first.
    """
    ids = [id_text(where, row, "study_id") for where, row in rows]
    unknown = [place for place, study_id in enumerate(ids) if study_id not in references]
    if unknown:
        first = rows[unknown[0]]
        damage = changed_ids({ids[place] for place in unknown}, references.keys() - {*ids})
        start = f"{first[0]}: study {ids[unknown[0]]!r} is not in the references file"
        if len(unknown) == len(rows):
            there = f"the first id there is {next(iter(references))!r}" if references else "that file is empty"
            raise ScoringError(
                f"{start}, and neither is any of the {len(rows)} studies of {path.name}; {there}.{damage}"
            )
        raise ScoringError(f"{start}; {len(rows) - len(unknown)} of {len(rows)} studies are in it.{damage}")
    return [
        (where, {**references[study_id], **{field: value for field, value in row.items() if field != "reference"}})
        for study_id, (where, row) in zip(ids, rows, strict=True)
    ]


def rows_by_id(rows: Iterable[tuple[str, Fields]]) -> dict[str, tuple[str, Fields]]:
    """Study id -> (place, fields), in the order of the file.

    Raises:
        ScoringError: if an id is empty or occurs twice.
    """
    found: dict[str, tuple[str, Fields]] = {}
    for where, row in rows:
        study_id = id_text(where, row, "study_id")
        if not study_id:
            raise ScoringError(f"{where}: field 'study_id' is empty; every study needs an id.")
        if study_id in found:
            first = found[study_id][0].rpartition(", ")[2]
            damage = f" A spreadsheet seems to have rounded ids. {ADVICE}." if looks_rounded(study_id) else ""
            raise ScoringError(
                f"{where}: study {study_id} occurs twice, first in {first}; keep one of the two.{damage}"
            )
        found[study_id] = (where, row)
    return found


def read_references(path: Path, columns: Mapping[str, str] = AS_THEY_ARE) -> dict[str, dict[str, Any]]:
    """References by study id, with patients and split if the file names them; other fields are left out.

    Args:
        path: the file.
        columns: other names of its columns, see :func:`ammrg.evaluation.prediction_files.study_rows`.

    Raises:
        ScoringError: if there is no such file, its layout is not one of
            :data:`ammrg.evaluation.prediction_files.LAYOUTS`, it lacks a column, an id occurs twice, a reference says
            nothing, or only some studies have a patient.
    """
    found: dict[str, dict[str, Any]] = {}
    has_patient: set[bool] = set()
    columns = columns_of_references(columns)
    rows = study_rows(path, columns, needed_fields("reference", columns), text_field="reference")
    for study_id, (where, row) in rows_by_id(rows).items():
        scored_reference(where, study_id, plain_text(where, row, "reference"))
        patient_of(where, row, has_patient)
        kept = ("study_id", "reference", "subject_id", "split", "reference_in_training", "boxes")
        found[study_id] = {field: row[field] for field in kept if field in row}
    return found


def read_systems(
    reports: Path,
    against: Iterable[Path] = (),
    references: Mapping[str, Mapping[str, Any]] | None = None,
    columns: Mapping[str, str] = AS_THEY_ARE,
) -> list[System]:
    """The reports, the baselines and guards beside them, and other systems' files, all on the same studies.

    ``columns`` are other names for those of the reports and of other systems' files.

    A file that names no patients takes those of the first file that does. The boxes are the films', so all files take
    those of the first file that has any.

    Raises:
        ScoringError: see :func:`read_lines`; or if a file lacks a study, has an extra one, or has another reference or
            patient for it.
    """
    ours = System("", "ours", reports, read_lines(reports, references, columns=columns))
    systems = [ours]
    siblings = [(group, path) for group in GROUPS for path in sorted((reports.parent / group).glob("*.jsonl"))]
    for group, path in siblings:
        systems.append(System(group, path.stem, path, read_lines(path, references, reports.parent)))
    for path in against:
        names = {system.name for system in systems if system.group == "against"}
        name = path.stem if path.stem not in names | {reports.stem} else f"{path.parent.name}/{path.stem}"
        systems.append(System("against", name, path, read_lines(path, references, columns=columns)))
    for other in systems[1:]:
        _check_same_studies(ours, other)
    return with_shared_fields(systems)


def with_shared_fields(systems: list[System]) -> list[System]:
    """Systems on the same studies, each with the patients and boxes of the first that names any.

    Raises:
        ScoringError: if a file has another reference or patient for a study than the first.
    """
    systems = _with_boxes(_with_patients(systems))
    for other in systems[1:]:
        _check_same_texts(systems[0], other)
    return systems


def _names_patients(system: System) -> bool:
    return any(line.subject_id != line.study_id for line in system.lines)


def _with_patients(systems: list[System]) -> list[System]:
    named = next((system for system in systems if _names_patients(system)), None)
    if named is None:
        return systems
    patients = [line.subject_id for line in named.lines]
    return [
        system
        if _names_patients(system)
        else system._replace(
            lines=[line._replace(subject_id=name) for line, name in zip(system.lines, patients, strict=True)]
        )
        for system in systems
    ]


def _with_boxes(systems: list[System]) -> list[System]:
    named = next((system for system in systems if any(line.boxes for line in system.lines)), None)
    if named is None:
        return systems
    boxes = [line.boxes for line in named.lines]
    return [
        system._replace(lines=[line._replace(boxes=known) for line, known in zip(system.lines, boxes, strict=True)])
        for system in systems
    ]


def _check_same_studies(ours: System, other: System) -> None:
    expected, found = ({line.study_id for line in system.lines} for system in (ours, other))
    damage = changed_ids(found - expected, expected - found)
    if not expected & found:
        raise ScoringError(
            f"{other.path}: lacks all {len(expected)} studies of {ours.path}: the first ids are {min(found)} here and "
            f"{min(expected)} there; write both from the same split, with the same ids.{damage}"
        )
    for what, ids in (("lacks", expected - found), ("has extra", found - expected)):
        if ids:
            raise ScoringError(
                f"{other.path}: {what} studies, compared with {ours.path}: {len(ids)} (first: {min(ids)}); "
                f"write both from the same split.{damage}"
            )


def _check_same_texts(ours: System, other: System) -> None:
    for mine, theirs in zip(ours.lines, other.lines, strict=True):
        if (mine.reference, mine.subject_id) != (theirs.reference, theirs.subject_id):
            raise ScoringError(
                f"{other.path}: study {mine.study_id} has another reference or subject_id than in {ours.path}; "
                "write both from the same prepared data."
            )


def write_rexrank(path: Path, lines: Iterable[Line], split: str | None) -> Path:
    """Write the predictions in the layout of ReXrank's tool, whose scores can be compared with its leaderboard.

    A reference becomes the findings section; there is no impression.
    """
    table = {
        line.study_id: {
            "section_findings": line.reference,
            "section_impression": None,
            "subject_id": line.subject_id,
            "split": split,
            "model_prediction": line.generated,
        }
        for line in lines
    }
    write_json(path, table)
    return path


def read_train_texts(path: Path, columns: Mapping[str, str] = AS_THEY_ARE) -> list[str]:
    """Training reports: text with one report a line, or a table with a field ``report`` (or ``reference``).

    Args:
        path: ``.txt``; or a file in a layout of predictions, which need no ids here.
        columns: other names of its columns; that of ``reference`` is looked for.

    Raises:
        ScoringError: if there is no such file, it is of another kind, or a row, or all of them, have no text.
    """
    if not path.is_file():
        raise ScoringError(f"{path}: {advice(path)}")
    refuse_archive(path)
    if path.suffix == ".txt":
        return [line for line in file_text(path).split("\n") if line.strip()]
    if path.suffix not in LAYOUTS:
        raise ScoringError(
            f"{path}: training reports are read from .txt, one report a line, or from {', '.join(LAYOUTS)} with a "
            "field 'report'; save them as one of these."
        )
    read = {".jsonl": json_lines, **dict.fromkeys(TABLES, csv_rows)}.get(path.suffix)
    rows = read(path, file_text(path)) if read else study_rows(path, needed=(), text_field="report")
    fields = dict.fromkeys(("report", "reference", columns.get("reference", "reference")))
    texts: list[str] = []
    for where, row in rows:
        found = next(("" if is_missing(row[field]) else row[field] for field in fields if field in row), None)
        if not isinstance(found, str):
            raise ScoringError(
                f"{where}: no text under {' or '.join(map(repr, fields))}; found {', '.join(row) or 'none'}. Give one "
                "of these fields, or name the file's own with --columns reference=COLUMN."
            )
        texts.append(found)
    if not any(map(str.strip, texts)):
        raise ScoringError(f"{path}: none of its {len(texts)} rows has a text under 'report' or 'reference'.")
    return texts
