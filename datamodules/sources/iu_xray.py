"""Reader of IU X-Ray (Open-I): an R2Gen annotation, a CSV pair, XML reports, or several of these in one folder.

The annotation takes precedence: its studies keep their split, films and report. The CSV pair or, without it, the XML
reports add what the annotation lacks (impression and indication, the pair also projections) and the studies it leaves
out. IU X-Ray publishes no patient ids, so every study is its own subject.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ammrg.errors import DataError
from ammrg.text.blank import text_or_empty
from ammrg.text.labeler import label
from ammrg.types import Study
from datamodules.sources.iu_xray_csv import LABELS, PROJECTIONS, REPORTS, Row, read_labels, read_pair, uid_of
from datamodules.sources.iu_xray_xml import XML_FOLDER, read_reports
from datamodules.sources.matching import match_rows
from datamodules.sources.r2gen import (
    ANNOTATION,
    Entry,
    FilmFolder,
    check_one_study_each,
    check_some_there,
    once_each,
    read_annotation,
    stem,
    views_of,
)
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
from datamodules.sources.splits import hash_split

SOURCES = ("r2gen", "csv", "xml")


class Folder(NamedTuple):
    """The content of a raw folder, read and checked."""

    entries: Mapping[str, Entry]
    """uid -> its entry in the annotation; empty if no annotation is read."""
    reports: str
    """Origin of the rows: ``csv``, ``xml``, or empty if there is only an annotation."""
    rows: Mapping[str, Row]
    """uid -> its row."""
    projections: dict[str, str]
    """Film stem -> ``frontal`` or ``lateral``; empty for XML reports."""
    films: FilmFolder
    labels: Labels
    matched: Mapping[str, str]
    """File name -> how many of its rows belong to a study of the other files, for the card."""


class Labels(NamedTuple):
    """The labels of the studies: those of a table, else the labeler's."""

    rows: Mapping[str, tuple[float, ...]]
    """uid -> 14 values from :data:`LABELS`, made from the findings section."""
    section: Section
    """The target section."""

    def of(self, uid: str, text: str) -> tuple[float, ...]:
        """The table's labels, if it has this study and the section is findings; else the labeler's."""
        return self.rows[uid] if self.has(uid) else tuple(label(text))

    def has(self, uid: str) -> bool:
        """Whether the table has labels of this study for the target section."""
        return self.section == "findings" and uid in self.rows

    def summary(self, uids: Sequence[str]) -> str:
        """The origin of the studies' labels, for the card."""
        given = sum(map(self.has, uids))
        return f"{LABELS} for {given} studies, the labeler for {len(uids) - given}" if given else "the labeler"


def read(raw: Path, *, source: str | None = None, section: Section = "findings", seed: int = 0) -> SourceReading:
    """Read all studies of a raw IU X-Ray folder that have a film and a text in the section.

    Args:
        raw: folder with ``annotation.json``, or ``indiana_projections.csv`` and ``indiana_reports.csv``, or
            ``ecgen-radiology/*.xml``, or several of these; films in ``images/``; optionally ``chexpert_labels.csv``
            (uid and the 14 findings).
        source: ``r2gen``, ``csv`` or ``xml``; None = the first that is present.
        section: the target text.
        seed: seed of the split 70/10/20 by a hash of uid, which is made if there is no annotation.

    Raises:
        SettingsError: the source is unknown.
        DataError: the layout or every film is missing, a file is not in its format, a table belongs to other studies,
            or a film is in two splits.
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
    rejected = tuple(Rejection(study_id(uid), film, "no such file") for uid, film in absent)
    check_some_there(rejected, len(named), raw, folder.films.folder)
    all_kept = [study for of_split, _ in kept.values() for study in of_split]
    notes = {
        "subjects": "IU X-Ray publishes no patient id: every study is its own subject",
        "labels": folder.labels.summary([study.subject_id for study in all_kept]),
        "matched": dict(folder.matched),
        "split": "annotation" if folder.entries else f"hash of uid 70/10/20, seed {seed}",
        "annotated": dict(Counter(entry.split for entry in folder.entries.values())),
        "joined_train": sum(study.source != "r2gen" for study in all_kept) if folder.entries else 0,
        **({f"{folder.reports}_rows": len(folder.rows)} if folder.reports else {}),
        "without_text": sum(count for _, count in kept.values()),
        "without_film": counts["film"],
        "without_film_and_text": counts["film and text"],
        "without_frontal": sum(all(view.projection != "frontal" for view in study.views) for study in all_kept),
        "films_named_twice": counts["films twice"],
        "films_of_two_studies": check_one_study_each(studies, str(raw)),
    }
    return SourceReading(
        {split: of_split for split, (of_split, _) in kept.items()},
        "r2gen" if folder.entries else folder.reports,
        len(named),
        rejected,
        notes,
        film_folder=folder.films.folder,
    )


def open_folder(raw: Path, source: str | None, section: Section) -> Folder:
    """Find the layouts of a folder and read the chosen ones.

    Raises:
        SettingsError: the source is unknown.
        DataError: the layout is missing, a file is not in its format, or a table belongs to other studies.
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
        raise DataError(f"{raw}: looked for {looked}; found {listed(raw)}")
    layout = source or next(name for name in SOURCES if present[name])
    entries: dict[str, Entry] = {}
    if layout == "r2gen":
        for entry in read_annotation(raw / ANNOTATION):
            if (uid := uid_of(entry.study_id)) in entries:
                raise DataError(f"{raw / ANNOTATION}: study {uid} occurs twice, as {entries[uid].id} and {entry.id}")
            entries[uid] = entry
    films = FilmFolder(raw)
    reports = next((name for name in ("csv", "xml") if present[name]), "") if layout == "r2gen" else layout
    rows: dict[str, Row] = {}
    projections: dict[str, str] = {}
    matched: dict[str, str] = {}
    if reports == "csv":
        rows, projections, matched = read_pair(raw)
    elif reports == "xml":
        rows = read_reports(raw, films)
    if entries and rows:
        # If the ids did not match, each study would be read twice: once as annotated, once in train.
        matched |= match_rows(raw / ANNOTATION, [*entries], rows, "the study id", f"{reports} report")
    labels = Labels(read_labels(raw / LABELS) if (raw / LABELS).is_file() else {}, section)
    if section == "findings":
        matched |= match_rows(raw / LABELS, [*labels.rows], {**entries, **rows}, "uid")
    return Folder(entries, reports, rows, projections, films, labels, matched)


def assemble(folder: Folder, seed: int) -> tuple[dict[str, list[Study]], Counter[str]]:
    """Studies that have a film, by split, and counts of what was left out.

    The counts are studies without a film (``film``), studies without film and text (``film and text``), and films that
    a study lists more than once (``films twice``). The annotation's studies come first; studies it leaves out go to
    train. Without an annotation a hash decides the split.
    """
    studies: dict[str, list[Study]] = {split: [] for split in SPLITS}
    counts: Counter[str] = Counter()
    for uid in (*folder.entries, *(uid for uid in folder.rows if uid not in folder.entries)):
        row = folder.rows.get(uid, Row(uid, "", "", "", ()))
        entry = folder.entries.get(uid)
        if entry is not None:
            row = row._replace(findings=text_or_empty(entry.report), films=entry.films)
        split = entry.split if entry is not None else "train" if folder.entries else hash_split(uid, seed)
        films = once_each(row.films)
        counts["films twice"] += len(row.films) - len(films)
        views, _ = views_of(study_id(uid), films, folder.films, folder.projections)
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


def study_id(uid: str) -> str:
    """Open-I's name of a study, the same for every layout: ``2384`` -> ``CXR2384``."""
    return f"CXR{uid}" if uid.isdigit() else uid
