"""Reader of a table of one's own: ``studies.csv``, one row for each film, and the films that it names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ammrg.errors import DataError
from ammrg.ids import plain_id
from ammrg.spreadsheet_damage import is_error, looks_rounded
from ammrg.text.blank import text_or_empty
from ammrg.text.damaged import TAG, is_misread
from ammrg.text.labeler import label
from ammrg.types import Study
from datamodules.sources.mimic_cxr_tables import PROJECTIONS
from datamodules.sources.r2gen import (
    GROUPS,
    FilmFolder,
    check_one_study_each,
    check_some_there,
    leaves,
    once_each,
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
    with_section,
)
from datamodules.sources.splits import hash_split
from datamodules.sources.tables import other_columns, read_csv

TABLE = "studies.csv"
REQUIRED = ("image", "report", "patient_id")
OPTIONAL = ("study_id", "split", "view")
IDS = ("patient_id", "study_id")
VIEWS = {**PROJECTIONS, "FRONTAL": "frontal"}
"""What ``view`` says, in capitals -> projection; all else is ``unknown``."""
_TITLE = re.compile(
    r"\b(FINDINGS?|IMPRESSION|CONCLUSION|INDICATION|HISTORY|TECHNIQUE|COMPARISON|EXAM(INATION)?)\s*:", re.IGNORECASE
)
"""The title of a section."""
MOST_NAMED = 10
"""Rows that a note or a message names."""


def read(raw: Path, *, source: str | None = None, section: Section = "findings", seed: int = 0) -> SourceReading:
    """Read ``studies.csv`` with the columns REQUIRED and, where they are there, OPTIONAL.

    Rows with the same ``study_id`` are one study; without this column each film is one. Without ``split``, a hash of
    the patient's id splits 70/10/20. Labels are the labeler's.

    Args:
        raw: folder with ``studies.csv``; films in ``images/`` or beside it.
        source: ``csv``, the only layout, or None.
        section: the section that the reports are.
        seed: seed of a split that is made here.

    Raises:
        SettingsError: the source is unknown.
        DataError: the table, a column, an id or every film is missing, two rows of a study differ, or a film is of two
            patients or in two splits.
    """
    check_source("csv", source, ("csv",))
    path, folder = raw / TABLE, FilmFolder(raw)
    if not path.is_file():
        raise DataError(
            f"{raw}: looked for {TABLE}, found {listed(raw)}; save the table as {TABLE} (in Excel: CSV UTF-8)"
        )
    rows = list(read_csv(path, REQUIRED, OPTIONAL))
    if not rows:
        raise DataError(f"{path}: has no row below its header; write one for each film")
    table = _Table(seed)
    wrong: list[RowError] = []
    for number, row in rows:
        try:
            table.add(number, row)
        except RowError as error:
            wrong.append(error)
    if wrong:
        raise DataError(f"{path}: {together(wrong)}")
    kept: dict[str, list[Study]] = {split: [] for split in SPLITS}
    rejected: list[Rejection] = []
    if not any(text_or_empty(study["report"]) for study in table.studies.values()):
        raise DataError(f"{path}: column report has a text in no row; write each study's report there")
    for study_id, study in table.studies.items():
        views, missing = views_of(study_id, once_each(table.films[study_id]), folder, table.projections)
        rejected += missing
        if views:
            text = text_or_empty(study["report"])
            texts = ("", text) if section == "impression" else (text, "")
            kept[study["split"]].append(
                Study(study_id, study["patient_id"], study["split"], views, *texts, "", tuple(label(text)), "csv")
            )
    named = sum(len(once_each(of_study)) for of_study in table.films.values())
    check_some_there(rejected, named, raw, folder.folder)
    checked = {split: with_section(of_split, section) for split, of_split in kept.items()}
    notes = {
        "without_text": sum(count for _, count in checked.values()),
        "without_film": len(table.studies) - sum(map(len, kept.values())),
        "columns_not_read": ", ".join(other_columns(path, (*REQUIRED, *OPTIONAL))) or "none",
        "rows_without_text": rows_named(table.silent()),
        "rows_that_repeat_a_film": rows_named(table.repeated),
        "rows_with_tags": rows_named(table.saying(lambda report: TAG.search(report) is not None)),
        "rows_with_misread_letters": rows_named(table.saying(is_misread)),
        "rows_with_other_sections": rows_named(table.saying(lambda report: _TITLE.search(report) is not None)),
        "studies_with_the_commonest_report": table.commonest(),
        "views_not_known": views_named(table.unknown),
        "films_of_two_studies": check_one_study_each(kept, str(path)),
        "split": "the table's" if "split" in rows[0][1] else "hash of the patient's id, 70/10/20",
        "labels": "labeler",
    }
    return SourceReading(
        {split: found for split, (found, _) in checked.items()},
        "csv",
        named,
        tuple(rejected),
        notes,
        film_folder=folder.folder,
    )


class RowError(DataError):
    """What is wrong in a row, and what to do: the same for all rows in which the same is wrong."""

    def __init__(self, row: int, found: str, advice: str) -> None:
        super().__init__(f"row {row}: {found}; {advice}")
        self.row, self.advice = row, advice


class _Table:
    """What the rows say, each checked beside the earlier ones; a row that is wrong adds nothing.

    Args:
        seed: of the split that is made where rows name none.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.studies: dict[str, dict[str, str]] = {}
        """Study -> its report, patient and split."""
        self.rows: dict[str, list[int]] = {}
        """Study -> its rows."""
        self.films: dict[str, list[str]] = {}
        """Study -> its films."""
        self.projections: dict[str, str] = {}
        """Film -> its projection."""
        self.owners: dict[str, tuple[int, str, str]] = {}
        """Film -> its first row, study and patient."""
        self.unknown: Counter[str] = Counter()
        """What ``view`` says that is not one of VIEWS -> number of rows."""
        self.repeated: list[int] = []
        """Rows that name a film of their study again."""

    def silent(self) -> list[int]:
        """The rows of the studies without text."""
        silent = (study for study, said in self.studies.items() if not text_or_empty(said["report"]))
        return sorted(row for study in silent for row in self.rows[study])

    def saying(self, holds: Callable[[str], bool]) -> list[int]:
        """The rows of the studies for whose report something holds."""
        return sorted(row for study, said in self.studies.items() if holds(said["report"]) for row in self.rows[study])

    def commonest(self) -> int:
        """The number of studies with the commonest report."""
        texts = Counter(" ".join(text_or_empty(study["report"]).split()) for study in self.studies.values())
        return max((count for text, count in texts.items() if text), default=0)

    def add(self, number: int, row: dict[str, str]) -> None:
        """Add a row.

        Raises:
            RowError: a cell is empty or has an unknown value, or an earlier row says otherwise.
        """
        empty = [name for name in row if not row[name] and name not in ("report", "view")]
        if empty:
            raise RowError(number, f"{empty[0]} is empty", f"every row needs its {empty[0]}")
        if rounded := [name for name in IDS if looks_rounded(row.get(name, ""))]:
            raise RowError(
                number,
                f"{rounded[0]} is {row[rounded[0]]!r}, which a spreadsheet has rounded",
                "format that column as text and fill in the ids again",
            )
        if is_error(row["report"]):
            raise RowError(number, f"report is {row['report']!r}, the error of a formula", "write the text there")
        film, patient = row["image"], plain_id(row["patient_id"])
        if leaves(film):
            raise RowError(number, f"the path {film!r} leaves the image folder", "write it relative to that folder")
        split = row.get("split", hash_split(patient, self.seed)).lower()
        if split not in GROUPS:
            raise RowError(number, f"split is {split!r}", f"expected one of {', '.join(GROUPS)}")
        first, its_study, its_patient = self.owners.get(stem(film), (number, "", patient))
        if its_patient != patient:
            raise RowError(
                number,
                f"film {film} is patient {patient}'s, and in row {first} patient {its_patient}'s",
                "correct one of them, or write their subfolders if they are two files",
            )
        study_id = plain_id(row.get("study_id", stem(film)))
        said = {"report": row["report"], "patient_id": patient, "split": GROUPS[split]}
        before = self.studies.get(study_id, said)
        if differs := [name for name in said if said[name].split() != before[name].split()]:
            raise RowError(
                number,
                f"{differs[0]} of study {study_id} differs from row {self.rows[study_id][0]}",
                f"make the {differs[0]} of a study equal",
            )
        if its_study == study_id:
            self.repeated.append(number)
        self.studies[study_id] = before
        self.rows.setdefault(study_id, []).append(number)
        self.owners.setdefault(stem(film), (number, study_id, patient))
        self.films.setdefault(study_id, []).append(film)
        view = row.get("view", "")
        self.projections[stem(film)] = VIEWS.get(view.upper(), "unknown")
        if view and view.upper() not in VIEWS:
            self.unknown[view] += 1


def together(wrong: Sequence[RowError]) -> str:
    """One message of what is wrong in rows: the first row in which each thing is wrong, and which the others are."""
    if len(wrong) == 1:
        return str(wrong[0])
    alike: dict[str, list[RowError]] = {}
    for error in wrong:
        alike.setdefault(error.advice, []).append(error)
    lines = [
        str(first) + (f" (likewise {rows_named([error.row for error in others])})" if others else "")
        for first, *others in alike.values()
    ]
    return "\n  ".join([f"{len(wrong):,} rows are wrong:", *lines])


def views_named(unknown: Counter[str]) -> str:
    """Words of ``view`` for whoever corrects them: ``3 rows: 'Seitlich' (2), 'AP supine' (1)``, or ``none``."""
    if not unknown:
        return "none"
    rows, more = unknown.total(), len(unknown) - MOST_NAMED
    words = ", ".join(f"{view!r} ({count:,})" for view, count in unknown.most_common(MOST_NAMED))
    return f"{rows:,} row{'s' if rows > 1 else ''}: {words}" + (f" and {more:,} more words" if more > 0 else "")


def rows_named(rows: Sequence[int]) -> str:
    """Rows for whoever looks them up in the table: ``row 32``, ``rows 2, 4, 6 and 7 more``, or ``none``."""
    if not rows:
        return "none"
    more = f" and {len(rows) - MOST_NAMED:,} more" if len(rows) > MOST_NAMED else ""
    return ("row " if len(rows) == 1 else "rows ") + ", ".join(map(str, rows[:MOST_NAMED])) + more
