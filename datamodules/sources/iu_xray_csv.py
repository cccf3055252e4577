"""IU X-Ray's tables: the pair of projections and reports, and the labels made from its findings sections."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from ammrg.errors import DataError
from ammrg.findings import FINDINGS
from ammrg.ids import plain_id
from ammrg.text.blank import text_or_empty
from datamodules.sources.matching import match_rows
from datamodules.sources.r2gen import inside, stem
from datamodules.sources.tables import add_labels, finding_labels, read_csv

PROJECTIONS, REPORTS, LABELS = "indiana_projections.csv", "indiana_reports.csv", "chexpert_labels.csv"
UID = re.compile(r"0*(\d+)|CXR0*(\d+)(?:_.*)?")


class Row(NamedTuple):
    """One study, from the CSV pair or an XML report."""

    uid: str
    findings: str
    impression: str
    indication: str
    films: tuple[str, ...]


def uid_of(name: str) -> str:
    """Open-I's number of a study, whichever way a file writes it; any other id is returned as it is.

    ``1``, ``1.0``, ``0001``, ``CXR1`` and ``CXR1_IM-0942`` all give ``1``.
    """
    match = UID.fullmatch(plain_id(name))
    return match.group(1) or match.group(2) if match else name.strip()


def row_uid(name: str, where: str) -> str:
    """The uid of a row.

    Raises:
        DataError: the uid is empty; the message starts with ``where``.
    """
    if not name:
        raise DataError(f"{where}: uid is empty; every row needs the number of its study")
    return uid_of(name)


def read_pair(raw: Path) -> tuple[dict[str, Row], dict[str, str], dict[str, str]]:
    """Read the CSV pair: uid -> row, film stem -> projection, and how many rows match, for the card.

    Raises:
        DataError: a column or a uid is missing, a study occurs twice, a path leaves the image folder, or no film
            belongs to a study with a report.
    """
    films: dict[str, list[str]] = {}
    projections: dict[str, str] = {}
    for number, line in read_csv(raw / PROJECTIONS, ("uid", "filename", "projection")):
        where = f"{raw / PROJECTIONS}: row {number}"
        film = inside(line["filename"], where)
        films.setdefault(row_uid(line["uid"], where), []).append(film)
        projection = line["projection"].lower()
        projections[stem(film)] = projection if projection in ("frontal", "lateral") else "unknown"
    rows: dict[str, Row] = {}
    for number, line in read_csv(raw / REPORTS, ("uid", "findings", "impression", "indication")):
        uid = row_uid(line["uid"], f"{raw / REPORTS}: row {number}")
        if uid in rows:
            raise DataError(f"{raw / REPORTS}: row {number}: study {uid} occurs twice; keep one row")
        texts = (text_or_empty(line[name]) for name in ("findings", "impression", "indication"))
        rows[uid] = Row(uid, *texts, tuple(films.get(uid, ())))
    of_films = [uid for uid, of_study in films.items() for _ in of_study]
    return rows, projections, match_rows(raw / PROJECTIONS, of_films, rows, "uid", f"report of {REPORTS}")


def read_labels(path: Path) -> dict[str, tuple[float, ...]]:
    """Read the label table: uid -> 14 labels (1, 0, -1, NaN for an empty cell) in the order of FINDINGS.

    Raises:
        DataError: a column or a uid is missing, a cell is not 1, 0, -1 or empty, or two rows of a study differ.
    """
    labels: dict[str, tuple[float, ...]] = {}
    for number, line in read_csv(path, ("uid", *FINDINGS)):
        where = f"{path}: row {number}"
        add_labels(labels, row_uid(line["uid"], where), finding_labels(line, where), where)
    return labels
