"""IU X-Ray (Open-I): an R2Gen annotation, the projections/reports CSV pair, the XML reports, or several in one folder.

The annotation takes precedence: its studies keep their split, films and report, and the CSV pair, else the XML
reports, add what they lack (impression, indication; the pair projections too) and the studies they leave out. IU
publishes no patient id, so every study is its own subject.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ammrg.errors import DataError
from ammrg.text.labeler import label
from ammrg.text.spoken import said
from ammrg.types import Study
from datamodules.sources import SPLITS, Rejection, Section, SourceReading, check_source, section_text, with_section
from datamodules.sources.iu_xray_csv import LABELS, PROJECTIONS, REPORTS, Row, read_labels, read_pair
from datamodules.sources.iu_xray_xml import XML_FOLDER, read_reports
from datamodules.sources.r2gen import ANNOTATION, Entry, FilmFolder, read_annotation, stem, views_of
from datamodules.sources.splits import hash_split

SOURCES = ("r2gen", "csv", "xml")
UID = re.compile(r"CXR(\d+)(?:_.*)?$")


class Folder(NamedTuple):
    """Everything that a raw folder holds, read and checked."""

    entries: Mapping[str, Entry]
    """uid -> its entry in the annotation; empty where that is not read."""
    reports: str
    """Where the rows come from: ``csv``, ``xml``, or empty where an annotation lies alone."""
    rows: Mapping[str, Row]
    """uid -> its row."""
    projections: dict[str, str]
    """Film stem -> ``frontal`` or ``lateral``; XML reports tell none."""
    films: FilmFolder
    labels: Labels


class Labels(NamedTuple):
    """Where labels come from."""

    rows: Mapping[str, tuple[float, ...]]
    """uid -> 14 values, read from :data:`LABELS`; they belong to the findings section."""
    section: Section

    def of(self, uid: str, text: str) -> tuple[float, ...]:
        """The CSV's labels where it has this study and the section is theirs, the labeler's otherwise."""
        found = self.rows.get(uid) if self.section == "findings" else None
        return tuple(label(text)) if found is None else found

    @property
    def name(self) -> str:
        """For the card."""
        return f"{LABELS}, else the labeler" if self.rows and self.section == "findings" else "the labeler"


def read(raw: Path, *, source: str | None = None, section: Section = "findings", seed: int = 0) -> SourceReading:
    """All studies of a raw IU X-Ray folder that have a film and a text in the section.

    Args:
        raw: holds ``annotation.json``, or ``indiana_projections.csv`` and ``indiana_reports.csv``, or
            ``ecgen-radiology/*.xml``, or several; films in ``images/``; perhaps ``chexpert_labels.csv`` (uid and the
            14 findings).
        source: ``r2gen``, ``csv`` or ``xml``; None takes the first that is there.
        section: the target text.
        seed: of the split 70/10/20, made by a hash of uid where there is no annotation.

    Raises:
        SettingsError: an unknown source.
        DataError: the layout is missing, or a file is not as its format says.
    """
    folder = open_folder(raw, source, section)
    studies, counts = assemble(folder, seed)
    kept = {split: with_section(of_split, section) for split, of_split in studies.items()}
    named: dict[str, tuple[str, str]] = {}
    for uid, films in (
        *((uid, entry.films) for uid, entry in folder.entries.items()),
        *((uid, row.films) for uid, row in folder.rows.items()),
    ):
        for film in films:
            named.setdefault(stem(film), (uid, film))
    absent = [(uid, film) for uid, film in named.values() if folder.films.find(film) is None]
    all_kept = [study for of_split, _ in kept.values() for study in of_split]
    notes = {
        "subjects": "IU X-Ray publishes no patient id: every study is its own subject",
        "labels": folder.labels.name,
        "split": "annotation" if folder.entries else f"hash of uid 70/10/20, seed {seed}",
        "annotated": dict(Counter(entry.split for entry in folder.entries.values())),
        "joined_train": sum(study.source != "r2gen" for study in all_kept) if folder.entries else 0,
        **({f"{folder.reports}_rows": len(folder.rows)} if folder.reports else {}),
        "without_text": sum(count for _, count in kept.values()),
        "without_film": counts["film"],
        "without_film_and_text": counts["film and text"],
        "without_frontal": sum(all(view.projection != "frontal" for view in study.views) for study in all_kept),
    }
    return SourceReading(
        {split: of_split for split, (of_split, _) in kept.items()},
        "r2gen" if folder.entries else folder.reports,
        len(named),
        tuple(Rejection(study_id(uid), film, "no such file") for uid, film in absent),
        notes,
    )


def open_folder(raw: Path, source: str | None, section: Section) -> Folder:
    """Find the layouts of a folder and read those that are asked for.

    Raises:
        SettingsError: an unknown source.
        DataError: the layout is missing, or a file is not as its format says.
    """
    check_source("iu_xray", source, SOURCES)
    wanted = {"r2gen": ANNOTATION, "csv": f"{PROJECTIONS} and {REPORTS}", "xml": f"{XML_FOLDER}/*.xml"}
    present = {
        "r2gen": (raw / ANNOTATION).is_file(),
        "csv": all((raw / name).is_file() for name in (PROJECTIONS, REPORTS)),
        "xml": any((raw / XML_FOLDER).glob("*.xml")),
    }
    if not (present[source] if source else any(present.values())):
        looked = wanted[source] if source else ", or ".join(wanted.values())
        found = ", ".join(sorted(os.listdir(raw))[:8]) or "an empty folder"
        raise DataError(f"{raw}: looked for {looked}; found {found}")
    layout = source or next(name for name in SOURCES if present[name])
    entries: dict[str, Entry] = {}
    if layout == "r2gen":
        for entry in read_annotation(raw / ANNOTATION):
            if (uid := uid_of(entry)) in entries:
                raise DataError(f"{raw / ANNOTATION}: study {uid} stands twice, as {entries[uid].id} and {entry.id}")
            entries[uid] = entry
    films = FilmFolder(raw)
    reports = next((name for name in ("csv", "xml") if present[name]), "") if layout == "r2gen" else layout
    rows: dict[str, Row] = {}
    projections: dict[str, str] = {}
    if reports == "csv":
        rows, projections = read_pair(raw)
    elif reports == "xml":
        rows = read_reports(raw, films)
    labels = Labels(read_labels(raw / LABELS) if (raw / LABELS).is_file() else {}, section)
    return Folder(entries, reports, rows, projections, films, labels)


def assemble(folder: Folder, seed: int) -> tuple[dict[str, list[Study]], Counter[str]]:
    """Studies that have a film, by split, and counts of those that have none (``film``, ``film and text``).

    The annotation's come first; those that it leaves out join train, or are split by hash where there is none.
    """
    studies: dict[str, list[Study]] = {split: [] for split in SPLITS}
    counts: Counter[str] = Counter()
    for uid in (*folder.entries, *(uid for uid in folder.rows if uid not in folder.entries)):
        row = folder.rows.get(uid, Row(uid, "", "", "", ()))
        entry = folder.entries.get(uid)
        if entry is not None:
            row = row._replace(findings=said(entry.report), films=entry.films)
        split = entry.split if entry is not None else "train" if folder.entries else hash_split(uid, seed)
        views, _ = views_of(study_id(uid), row.films, folder.films, folder.projections)
        study = Study(
            study_id=study_id(uid),
            subject_id=uid,
            split=split,
            views=views,
            findings=row.findings,
            impression=row.impression,
            indication=row.indication,
            labels=(),
            source=folder.reports if entry is None else "r2gen",
        )
        if views:
            text = section_text(study, folder.labels.section)
            studies[split].append(study._replace(labels=folder.labels.of(uid, text)))
        else:
            counts["film"] += 1
            counts["film and text"] += not (row.findings or row.impression)
    return studies, counts


def uid_of(entry: Entry) -> str:
    """Open-I's number of an annotated study: ``CXR2384_IM-0942`` -> ``2384``; another id stays as it is."""
    match = UID.match(entry.study_id)
    return match.group(1) if match else entry.study_id


def study_id(uid: str) -> str:
    """Open-I's name of a study: ``2384`` -> ``CXR2384``; the same from every layout."""
    return f"CXR{uid}" if uid.isdigit() else uid
