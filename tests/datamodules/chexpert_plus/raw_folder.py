"""A raw folder of CheXpert Plus, read and changed."""

from __future__ import annotations

import csv
from pathlib import Path

from datamodules.sources.phantom import layouts

TABLE = "df_chexpert_plus_240401.csv"
LINES = "chexbert_labels/findings_fixed.json"
COLUMNS = layouts.CHEXPERT_PLUS_COLUMNS


def table(raw: Path) -> list[dict[str, str]]:
    with (raw / TABLE).open(newline="") as file:
        return list(csv.DictReader(file))


def write_table(raw: Path, rows: list[dict[str, str]], name: str = TABLE) -> None:
    with (raw / name).open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def edit(raw: Path, number: int, **cells: str) -> None:
    """Change cells of one row, numbered as in a spreadsheet: the header is row 1."""
    rows = table(raw)
    rows[number - 2].update(cells)
    write_table(raw, rows)


def by_id(reading):
    return {study.study_id: study for of_split in reading.studies.values() for study in of_split}


def films(raw: Path) -> list[str]:
    return [row["path_to_image"] for row in table(raw)]


def name_of(study, studies) -> str:
    """The id of a drawn study; a patient's studies are numbered in order."""
    of_patient = [other.study_id for other in studies if other.subject_id == study.subject_id]
    return f"patient{study.subject_id}_study{of_patient.index(study.study_id) + 1}"
