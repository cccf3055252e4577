"""IU X-Ray's tables: the projections/reports pair, and the labels made of its findings sections."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ammrg.errors import DataError
from ammrg.findings import FINDINGS
from ammrg.text.spoken import said
from datamodules.sources.r2gen import inside, stem
from datamodules.sources.tables import finding_labels, read_csv

PROJECTIONS, REPORTS, LABELS = "indiana_projections.csv", "indiana_reports.csv", "chexpert_labels.csv"


class Row(NamedTuple):
    """One study, as the CSV pair or an XML report tells it."""

    uid: str
    findings: str
    impression: str
    indication: str
    films: tuple[str, ...]


def read_pair(raw: Path) -> tuple[dict[str, Row], dict[str, str]]:
    """The CSV pair: uid -> row, and film stem -> projection.

    Raises:
        DataError: a column or a study is missing, a study stands twice, or a path leaves the image folder.
    """
    films: dict[str, list[str]] = {}
    projections: dict[str, str] = {}
    for number, line in read_csv(raw / PROJECTIONS, ("uid", "filename", "projection")):
        film = inside(line["filename"], f"{raw / PROJECTIONS}: row {number}")
        films.setdefault(line["uid"], []).append(film)
        projection = line["projection"].lower()
        projections[stem(film)] = projection if projection in ("frontal", "lateral") else "unknown"
    rows: dict[str, Row] = {}
    for number, line in read_csv(raw / REPORTS, ("uid", "findings", "impression", "indication")):
        uid = line["uid"]
        if uid in rows:
            raise DataError(f"{raw / REPORTS}: row {number}: study {uid} stands twice")
        texts = (said(line[name]) for name in ("findings", "impression", "indication"))
        rows[uid] = Row(uid, *texts, tuple(films.get(uid, ())))
    return rows, projections


def read_labels(path: Path) -> dict[str, tuple[float, ...]]:
    """uid -> 14 labels (1, 0, -1, NaN for an empty cell) in the order of FINDINGS.

    Raises:
        DataError: a column is missing, or a cell is none of 1, 0, -1 and empty.
    """
    labels = {}
    for number, line in read_csv(path, ("uid", *FINDINGS)):
        labels[line["uid"]] = finding_labels(line, f"{path}: row {number}")
    return labels
