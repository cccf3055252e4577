"""Tables as the data sets hand them out: CSV, plain or gzipped, and the 14 findings in their cells."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ammrg.errors import DataError
from ammrg.findings import FINDINGS

CELLS = {
    **{"": float("nan"), "1": 1.0, "1.0": 1.0},
    **{"0": 0.0, "0.0": 0.0, "-1": -1.0, "-1.0": -1.0},
}
"""What a label cell may hold, and what it means."""


def read_csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file (gzipped where its name ends in ``.gz``) as stripped text, with their number as a spreadsheet
    counts them.

    Raises:
        DataError: a column is missing, a row has more cells than the header, or the file is not CSV in UTF-8.
    """
    try:
        with (
            gzip.open(path, "rt", newline="", encoding="utf-8-sig")
            if path.suffix == ".gz"
            else path.open(newline="", encoding="utf-8-sig")
        ) as file:
            reader = csv.DictReader(file)
            if reader.fieldnames is not None:
                reader.fieldnames = [name.strip() for name in reader.fieldnames]
            absent = [name for name in columns if name not in (reader.fieldnames or ())]
            if absent:
                found = ", ".join(reader.fieldnames or ()) or "an empty file"
                raise DataError(f"{path}: no column '{absent[0]}'; found {found}")
            for number, line in enumerate(reader, start=2):
                if None in line:
                    raise DataError(
                        f"{path}: row {number} has {len(line[None])} cells more than the header; quote texts that hold "
                        "commas"
                    )
                yield number, {name: (line[name] or "").strip() for name in columns}
    except (UnicodeDecodeError, csv.Error, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as CSV in UTF-8: {error}") from error


def add_labels(
    labels: dict[str, tuple[float, ...]], key: str, found: tuple[float, ...], where: str, what: str = "study"
) -> None:
    """Note the labels of a study; a row that stands there twice with the same labels is one.

    Raises:
        DataError: other labels stand there already; ``where`` opens the message.
    """
    before = labels.setdefault(key, found)
    # Unlike itself, NaN is no difference between two rows.
    if repr(before) != repr(found):
        raise DataError(f"{where}: {what} {key} stands twice, with other labels than before; keep the row that holds")


def finding_labels(line: Mapping[str, str], where: str) -> tuple[float, ...]:
    """The 14 labels of a row (1, 0, -1, NaN for an empty cell) in the order of FINDINGS.

    Raises:
        DataError: a cell is none of 1, 0, -1 and empty; ``where`` opens the message.
    """
    for name in FINDINGS:
        if line[name] not in CELLS:
            raise DataError(f"{where}: {name} is {line[name]!r}; expected 1, 0, -1 or an empty cell")
    return tuple(CELLS[line[name]] for name in FINDINGS)
