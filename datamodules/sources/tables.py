"""Reads the tables of data sets: CSV, plain or gzipped, and the 14 findings in their cells."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TextIO, cast

from ammrg.errors import DataError
from ammrg.findings import FINDINGS
from ammrg.separators import MARKS, separator
from ammrg.zip_files import is_zip

CELLS = {
    **{"": float("nan"), "1": 1.0, "1.0": 1.0},
    **{"0": 0.0, "0.0": 0.0, "-1": -1.0, "-1.0": -1.0},
}
"""Allowed text of a label cell -> its label."""


def read_csv(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file as stripped text, with their numbers as in a spreadsheet; ``.gz`` files are unpacked.

    Cells are separated by commas, or by semicolons, tabs or bars (:func:`ammrg.separators.separator`).

    Args:
        path: the file.
        columns: columns that must be there; other columns are ignored.
        optional: columns that are read where they are there.

    Raises:
        DataError: a column is missing or occurs twice, a row has more cells than the header, a quotation mark is not
            closed, or the file is not CSV in UTF-8.
    """
    begun = 1  # the line in which what is being read begins
    try:
        if is_zip(path):
            raise DataError(f"{path}: an Excel workbook or another zip archive; save the table as CSV UTF-8")
        with opened(path) as file:
            reader = reader_of(file)
            begun = reader.line_num + 1
            _refuse_nul(path, 1, reader.fieldnames or ())
            absent = [name for name in columns if name not in (reader.fieldnames or ())]
            if absent:
                found = ", ".join(reader.fieldnames or ()) or "an empty file"
                lacks = "no column " + " and no column ".join(f"'{name}'" for name in absent)
                small = {name.lower(): name for name in reader.fieldnames or ()}
                meant = " and ".join(f"{small[name]} as {name}" for name in absent if name in small)
                raise DataError(f"{path}: {lacks}; found {found}" + (f"; write {meant}" if meant else ""))
            if twice := [name for name in (*columns, *optional) if list(reader.fieldnames or ()).count(name) > 1]:
                raise DataError(f"{path}: column '{twice[0]}' occurs twice in the header; remove or rename one")
            wanted = [*columns, *(name for name in optional if name in (reader.fieldnames or ()))]
            for number, line in enumerate(reader, start=2):
                _refuse_nul(path, reader.line_num, line.values())
                if None in line:
                    raise DataError(
                        f"{path}: row {number} has more cells than the header (by {len(line[None])}); quote texts that "
                        f"contain {MARKS[reader.reader.dialect.delimiter]}"
                    )
                begun = reader.line_num + 1
                yield number, {name: (line[name] or "").strip() for name in wanted}
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: line {first_broken_line(path)} is not text in UTF-8; save the table as UTF-8 (in Excel: CSV "
            "UTF-8)"
        ) from error
    except csv.Error as error:
        raise DataError(
            f"{path}: line {begun}: a quotation mark is wrong in the row that begins there ({error}); every text in "
            "quotation marks must end with one, and those within it are doubled"
        ) from error
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as CSV in UTF-8: {error}") from error


def opened(path: Path, errors: str = "strict") -> TextIO:
    """Open a text file in UTF-8, which may be gzipped."""
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "rt", newline="", encoding="utf-8-sig", errors=errors))
    return path.open(newline="", encoding="utf-8-sig", errors=errors)


def _refuse_nul(path: Path, line: int, cells: Iterable[Any]) -> None:
    if any("\0" in cell for cell in cells if isinstance(cell, str)):
        raise DataError(
            f"{path}: line {line} has NUL bytes, which no text has: the file is damaged, or in UTF-16; save the table "
            "as CSV UTF-8"
        )


def reader_of(file: TextIO) -> csv.DictReader[str]:
    """A reader of rows whose header is stripped."""
    start = file.tell()
    mark = separator(file.readline())
    file.seek(start)
    reader = csv.DictReader(file, delimiter=mark, strict=True)  # an open quotation mark would swallow the other rows
    if reader.fieldnames is not None:
        reader.fieldnames = [name.strip() for name in reader.fieldnames]
    return reader


def other_columns(path: Path, known: Sequence[str]) -> list[str]:
    """Columns of a CSV file that nobody reads; a name that may be a slip is followed by the name that was meant."""
    with opened(path) as file:
        header = reader_of(file).fieldnames or ()
    found, absent = ([name for name in one if name not in other] for one, other in ((header, known), (known, header)))
    meant = {name: get_close_matches(name.lower(), absent, n=1, cutoff=0.7) for name in found}
    return [name + (f" (did you mean {meant[name][0]}?)" if meant[name] else "") for name in found]


def first_broken_line(path: Path) -> int:
    """Number of the first line that is not text in UTF-8."""
    with opened(path, errors="replace") as file:
        return next((number for number, line in enumerate(file, start=1) if "\N{REPLACEMENT CHARACTER}" in line), 1)


def add_labels(
    labels: dict[str, tuple[float, ...]], key: str, found: tuple[float, ...], where: str, what: str = "study"
) -> None:
    """Add the labels of a study (or film) to ``labels``; a repeated row with the same labels is accepted.

    Raises:
        DataError: an earlier row has other labels; the message starts with ``where``.
    """
    before = labels.setdefault(key, found)
    # Compared as text, because NaN differs from itself.
    if repr(before) != repr(found):
        raise DataError(f"{where}: {what} {key} occurs twice, with other labels than before; keep one row")


def finding_labels(line: Mapping[str, str], where: str) -> tuple[float, ...]:
    """The 14 labels of a row (1, 0, -1, NaN for an empty cell) in the order of FINDINGS.

    Raises:
        DataError: a cell is not 1, 0, -1 or empty; the message starts with ``where``.
    """
    for name in FINDINGS:
        if line[name] not in CELLS:
            raise DataError(f"{where}: {name} is {line[name]!r}; expected 1, 0, -1 or an empty cell")
    return tuple(CELLS[line[name]] for name in FINDINGS)
