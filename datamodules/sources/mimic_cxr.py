"""Reader of MIMIC-CXR-JPG with MIMIC-CXR's reports: an R2Gen annotation, the official tables, or both in one folder.

The annotation takes precedence: its studies keep its splits and texts, and the tables and reports add what it lacks
(projections, labels, indication). Without it, the split table lists the films and the reports contain the texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from rich.progress import track

from ammrg.errors import DataError
from ammrg.text.labeler import label
from ammrg.types import Study, View
from datamodules.sources.matching import match_rows
from datamodules.sources.mimic_cxr_reports import ARCHIVE, FOLDERS, Reports, Texts, report_name, texts_of
from datamodules.sources.mimic_cxr_tables import (
    Film,
    find_tables,
    read_examples,
    read_labels,
    read_projections,
    read_split,
)
from datamodules.sources.r2gen import ANNOTATION, check_some_there
from datamodules.sources.source_reading import (
    SPLITS,
    Rejection,
    Section,
    SourceReading,
    check_source,
    listed,
    section_text,
    with_section,
)

SOURCES = ("r2gen", "csv")
FILM_FOLDERS = {"r2gen": ("images", "files", "."), "csv": ("files",)}
"""Folders that may contain ``p10/``, for each layout; the first that exists is used."""


class Exam(NamedTuple):
    """The films of one study."""

    subject_id: str
    split: str
    dicom_ids: list[str]


class Folder(NamedTuple):
    """The content of a raw folder except films and reports, read and checked."""

    source: str
    exams: Mapping[str, Exam]
    """Study id -> its films, in the order of the split table or the annotation."""
    written: Mapping[str, str]
    """Study id -> the annotation's text; empty if only the tables are read."""
    projections: Mapping[str, str]
    """dicom_id -> ``frontal``, ``lateral`` or ``unknown``."""
    labels: Mapping[str, tuple[float, ...]]
    """Study id -> 14 values of the official table."""
    films: Path
    """The folder that contains ``p10/``."""
    tables: Mapping[str, Path]
    """Kind -> the table that is present."""
    matched: Mapping[str, str]
    """File name -> how many of its rows belong to a study or film of the split table or annotation, for the card."""
    named_twice: int
    """Number of rows or examples that repeat a film."""


class Assembly(NamedTuple):
    """The studies that have a film, with counts for the card."""

    studies: dict[str, list[Study]]
    rejected: list[Rejection]
    without: Counter[str]
    """Number of studies without a ``film``."""
    unreported: list[str]
    """Ids of the studies without a report; they may lack a film too."""
    labelled: Counter[str]
    """Section that the official labels were made from -> number of studies with these labels and a text."""


def read(raw: Path, *, source: str | None = None, section: Section = "findings", seed: int = 0) -> SourceReading:
    """Read all studies of a raw MIMIC-CXR folder that have a film and a text in the section.

    Args:
        raw: folder with ``mimic-cxr-*-split.csv``, preferably also ``-metadata`` and ``-chexpert`` (or ``-negbio``),
            plain or ``.gz``, films in ``files/`` and reports in ``files/``, ``mimic-cxr-reports/``, ``reports/`` or
            ``mimic-cxr-reports.zip``; or R2Gen's ``annotation.json`` with films in ``images/`` or ``files/``; or both.
        source: ``r2gen`` or ``csv``; None = the first that is present.
        section: the target text. An annotation has one text, which becomes this section (the findings for ``both``).
        seed: not used, since MIMIC-CXR has official splits.

    Raises:
        SettingsError: the source is unknown.
        DataError: the layout or every film is missing, a file is not in its format, or a table belongs to other
            studies.
    """
    folder = open_folder(raw, source)
    with Reports(raw) as reports:
        assembly = assemble(folder, reports, section)
    reported = len(folder.exams) - len(assembly.unreported)
    if folder.source == "csv" and folder.exams and not reported:
        first = report_name(folder.exams[assembly.unreported[0]].subject_id, assembly.unreported[0])
        raise DataError(
            f"{raw}: none of its {len(folder.exams)} studies has a report; looked for files such as {first} in "
            f"{', '.join(FOLDERS)} and {ARCHIVE}"
        )
    named = f" (first that has none: {assembly.unreported[0]})" if assembly.unreported else ""
    of_reports = {"reports": f"{reported:,} of {len(folder.exams):,} studies have one{named}"} if reported else {}
    films = sum(len(exam.dicom_ids) for exam in folder.exams.values())
    check_some_there(assembly.rejected, films, raw, folder.films)
    kept = {split: with_section(of_split, section) for split, of_split in assembly.studies.items()}
    all_kept = [study for of_split, _ in kept.values() for study in of_split]
    names = {kind: path.name for kind, path in folder.tables.items()}
    table = names.get("chexpert", names.get("negbio"))
    notes = {
        "split": names["split"] if folder.source == "csv" else ANNOTATION,
        "text": "sections of the reports" if folder.source == "csv" else f"{ANNOTATION}, the rest from the reports",
        "projections": names.get("metadata", "no metadata table: unknown"),
        "labels": f"{table}, else the labeler" if table else "the labeler",
        "matched": {**folder.matched, **of_reports},
        "films_named_twice": folder.named_twice,
        "labels_by_labeler": sum(study.study_id not in folder.labels for study in all_kept),
        "labels_by_table_read_from": dict(assembly.labelled),
        "without_report": len(assembly.unreported),
        "without_film": assembly.without["film"],
        "without_text": sum(count for _, count in kept.values()),
        "without_frontal": sum(all(view.projection != "frontal" for view in study.views) for study in all_kept),
    }
    return SourceReading(
        {split: of_split for split, (of_split, _) in kept.items()},
        folder.source,
        films,
        tuple(assembly.rejected),
        notes,
        film_folder=folder.films,
    )


def open_folder(raw: Path, source: str | None) -> Folder:
    """Find the layouts of a folder and read the tables of the chosen one.

    Raises:
        SettingsError: the source is unknown.
        DataError: the layout is missing, a file is not in its format, or a table belongs to other studies.
    """
    check_source("mimic_cxr", source, SOURCES)
    tables = find_tables(raw)
    present = {"r2gen": (raw / ANNOTATION).is_file(), "csv": "split" in tables}
    layout = source or next((name for name in SOURCES if present[name]), "")
    if not present.get(layout):
        split = "mimic-cxr-2.0.0-split.csv (or .csv.gz)"
        wanted = {"r2gen": ANNOTATION, "csv": split, "": f"{ANNOTATION}, or {split}"}[layout]
        raise DataError(f"{raw}: looked for {wanted}; found {listed(raw)}")
    films = next((raw / name for name in FILM_FOLDERS[layout] if (raw / name).is_dir()), None)
    if films is None:
        raise DataError(f"{raw}: looked for the films in {' or '.join(FILM_FOLDERS[layout])}/; found {listed(raw)}")
    named, written = read_examples(raw / ANNOTATION) if layout == "r2gen" else ([*read_split(tables["split"])], {})
    exams = join(named)
    table = tables.get("chexpert", tables.get("negbio"))
    labels = read_labels(table) if table else {}
    projections = read_projections(tables["metadata"]) if "metadata" in tables else {}
    dicom_ids = {dicom_id for exam in exams.values() for dicom_id in exam.dicom_ids}
    matched = match_rows(table, [*labels], exams, "study_id") if table else {}
    if projections:
        matched |= match_rows(tables["metadata"], [*projections], dicom_ids, "dicom_id", "film")
    return Folder(
        source=layout,
        exams=exams,
        written=written,
        projections=projections,
        labels=labels,
        films=films,
        tables=tables,
        matched=matched,
        named_twice=len(named) - len(dicom_ids),
    )


def assemble(folder: Folder, reports: Reports, section: Section) -> Assembly:
    """Join films, texts and labels to studies by split, with a progress bar; studies without film or text are dropped.

    Raises:
        DataError: a report cannot be read.
    """
    assembly = Assembly({split: [] for split in SPLITS}, [], Counter(), [], Counter())
    target = "impression" if section == "impression" else "findings"
    for study_id, exam in track(folder.exams.items(), "studies", transient=True):
        report, written = reports.text(exam.subject_id, study_id), folder.written.get(study_id)
        views, missing = views_of(study_id, exam, folder)
        assembly.rejected.extend(missing)
        if report is None:
            assembly.unreported.append(study_id)
        assembly.without["film"] += not views
        if not views or (report is None and written is None):
            continue
        texts = Texts() if report is None else texts_of(report, study_id)
        if written is not None:
            texts = texts._replace(**{target: written})
        study = Study(
            study_id=study_id,
            subject_id=exam.subject_id,
            split=exam.split,
            views=views,
            findings=texts.findings,
            impression=texts.impression,
            indication=texts.indication,
            labels=(),
            source=folder.source,
        )
        text, given = section_text(study, section), folder.labels.get(study_id)
        if text and given is not None and texts.labelled:
            assembly.labelled[texts.labelled] += 1
        assembly.studies[exam.split].append(study._replace(labels=tuple(label(text)) if given is None else given))
    return assembly


def views_of(study_id: str, exam: Exam, folder: Folder) -> tuple[tuple[View, ...], list[Rejection]]:
    """The films of a study that were found, and those that are missing."""
    views, missing = [], []
    for dicom_id in exam.dicom_ids:
        film = f"p{exam.subject_id[:2]}/p{exam.subject_id}/s{study_id}/{dicom_id}.jpg"
        file = folder.films / film
        if file.is_file():
            views.append(View(file, folder.projections.get(dicom_id, "unknown")))
        else:
            missing.append(Rejection(study_id, film, "no such file"))
    return tuple(views), missing


def join(films: Iterable[Film]) -> dict[str, Exam]:
    """Group films by study: study id -> its films, each once, in their order.

    Raises:
        DataError: a study is in two splits or of two patients; the message names it.
    """
    exams: dict[str, Exam] = {}
    for film in films:
        exam = exams.setdefault(film.study_id, Exam(film.subject_id, film.split, []))
        for field, here, before in (
            ("split", film.split, exam.split),
            ("subject_id", film.subject_id, exam.subject_id),
        ):
            if here != before:
                raise DataError(
                    f"{film.where}: study {film.study_id} has {field} {here} here but {before} before; give it one"
                )
        if film.dicom_id not in exam.dicom_ids:
            exam.dicom_ids.append(film.dicom_id)
    return exams
