"""Rows of predictions files: JSON Lines, CSV, TSV, and JSON, a list or an object with a member for each study."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ammrg.errors import ScoringError
from ammrg.evaluation.column_names import house_names
from ammrg.evaluation.prediction_fields import TEXTS, is_missing
from ammrg.missing_file import advice
from ammrg.separators import MARKS, separator
from ammrg.text.blank import text_or_empty
from ammrg.zip_files import is_zip

LAYOUTS = {
    ".jsonl": "one JSON object a line",
    ".csv": "columns study_id, generated, reference",
    ".tsv": "the same columns, with tabs between them",
    ".json": "a list of such objects, or one for each study: {study_id: {generated, reference}}, {study_id: text}, or "
    "ReXrank's {study_id: {model_prediction, section_findings, section_impression}}",
}
SECTIONS = ("findings", "impression")
"""A reference's sections; ReXrank writes ``section_`` before their names."""
TABLES = (".csv", ".tsv")
SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods")


AS_THEY_ARE: Mapping[str, str] = MappingProxyType({})
"""No other names for columns."""


def study_rows(
    path: Path,
    columns: Mapping[str, str] = AS_THEY_ARE,
    needed: Collection[str] = ("study_id",),
    text_field: str = "generated",
) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, fields) of each study in a file, in the order of the file.

    Args:
        path: the file.
        columns: field -> the file's name for it, from :func:`ammrg.evaluation.column_names.parse_columns`. ReXrank's
            names are known without them.
        needed: fields that each study must have.
        text_field: the field of the texts of ``{study_id: text}``, which do not say what they are.

    Raises:
        ScoringError: if there is no such file, its layout is not one of :data:`LAYOUTS`, or it lacks a field.
    """
    if path.suffix not in LAYOUTS and not path.is_dir():
        refuse_archive(path)
        layouts = "; ".join(f"{suffix}: {what}" for suffix, what in LAYOUTS.items())
        ask = " Save the spreadsheet as CSV." if path.suffix.lower() in SPREADSHEETS else ""
        ask = " Write the ending in small letters." if path.suffix.lower() in LAYOUTS else ask
        raise ScoringError(f"{path}: predictions are read from {layouts}.{ask}")
    if not path.is_file():
        raise ScoringError(f"{path}: {advice(path, LAYOUTS)}")
    text = file_text(path)
    if path.suffix in TABLES:

        def renamed(header: list[str]) -> list[str]:
            return list(house_names(str(path), header, columns, needed).values())

        yield from csv_rows(path, text, renamed)
    elif path.suffix == ".json":
        table = _json(str(path), text)
        if isinstance(table, list):
            for number, row in enumerate(table, start=1):
                where = f"{path}, entry {number}"
                yield where, _renamed(where, _object(where, row, "entry"), columns, needed)
        else:
            yield from _keyed_rows(path, table, columns, needed, text_field)
    else:
        for where, row in json_lines(path, text):
            yield where, _renamed(where, row, columns, needed)


SAVE_AS = "save the file as UTF-8 (in Excel: CSV UTF-8)"


def file_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Raises:
        ScoringError: it holds no such text, or nothing.
    """
    refuse_archive(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        raise ScoringError(f"{path}, line {line}: not text in UTF-8; {SAVE_AS}.") from error
    if "\0" in text:
        raise ScoringError(f"{path}: holds NUL characters, as text in UTF-16 does; {SAVE_AS}.")
    if not text.strip():
        raise ScoringError(f"{path}: the file is empty.")
    return text


def refuse_archive(path: Path) -> None:
    """Refuse a workbook, a document or another zip archive; what is no file is left to others.

    Raises:
        ScoringError: says as what to save it.
    """
    if path.is_file() and is_zip(path):
        if path.suffix == ".docx":
            raise ScoringError(f"{path}: a Word document; write the reports as .jsonl, .csv or .json.")
        raise ScoringError(f"{path}: an Excel workbook or another zip archive; save the table as CSV.")


def json_lines(path: Path, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a JSON Lines file with their places, as :func:`study_rows` gives them."""
    for number, raw in enumerate(text.split("\n"), start=1):
        if raw.strip():
            where = f"{path}, line {number}"
            yield where, _object(where, _json(where, raw), "line")


def _object(where: str, value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ScoringError(f"{where}: found {type(value).__name__}; each {what} must be one JSON object.")
    return value


def _renamed(where: str, row: dict[str, Any], columns: Mapping[str, str], needed: Collection[str]) -> dict[str, Any]:
    names = house_names(where, list(row), columns, needed)
    return {names[name]: value for name, value in row.items()}


def csv_rows(
    path: Path, text: str, renamed: Callable[[list[str]], list[str]] = list
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a table with their places, each with as many cells as the header.

    Cells are separated by commas, or by the semicolons, tabs or bars of the header
    (:func:`ammrg.separators.separator`); in a ``.tsv`` by tabs, whatever else the names of columns hold.

    Args:
        path: the file, for messages.
        text: its content.
        renamed: gives the names under which the columns are read.

    Raises:
        ScoringError: if it is not such a file; names the line.
    """
    csv.field_size_limit(2**31 - 1)
    header = text.partition("\n")[0]
    mark = "\t" if path.suffix == ".tsv" and "\t" in header else separator(header)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    try:
        names = list(reader.fieldnames or [])
        # before renaming, which would make one of two
        if twice := _twice(names):
            raise ScoringError(f"{path}: column '{twice}' occurs twice in the header; keep one of them.")
        names = renamed(names)
        reader.fieldnames = names
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if None in row or None in row.values():
                raise ScoringError(
                    f"{where}: not {len(names)} cells, as in the header; quote texts that contain {MARKS[mark]}."
                )
            yield where, dict(row)
    except csv.Error as error:
        raise ScoringError(
            f"{path}, line {reader.reader.line_num}: not CSV ({error}); double the quotes inside a quoted text."
        ) from error


def _keyed_rows(
    path: Path, table: Any, columns: Mapping[str, str], needed: Collection[str], text_field: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of {study_id: fields} or {study_id: text}."""
    if not isinstance(table, dict):
        raise ScoringError(f"{path}: must be {LAYOUTS['.json']}.")
    for study_id, fields in table.items():
        where = f"{path}, study {study_id}"
        if not isinstance(fields, dict):
            if not isinstance(fields, str) and not is_missing(fields):
                raise ScoringError(
                    f"{where}: found {type(fields).__name__}; each study must be one object or one text."
                )
            row = {"study_id": study_id, text_field: fields}
            house_names(where, list(row), columns, needed)  # a text has no patient that --columns could name
            yield where, row
            continue
        given = {"study_id": study_id} | _of_rexrank(fields)
        row = _renamed(where, fields, columns, [field for field in needed if field not in given]) | given
        if isinstance(row.get("findings"), str):
            del row["findings"]  # a section, not the network's table of findings
        yield where, {field: value for field, value in row.items() if field in TEXTS or not is_missing(value)}


def is_rexrank(path: Path) -> bool:
    """Whether a file has ReXrank's layout: report and reference of each study under ReXrank's names.

    Raises:
        ScoringError: if it is a JSON file that cannot be read.
    """
    if path.suffix != ".json":
        return False
    table = _json(str(path), file_text(path))
    return isinstance(table, dict) and all(
        isinstance(fields, dict) and fields.keys() >= {"model_prediction", "section_findings"}
        for fields in table.values()
    )


def _of_rexrank(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The texts that ReXrank's names hold; its sections make the reference "Findings: ... Impression: ..."."""
    given = {"generated": fields["model_prediction"]} if "model_prediction" in fields else {}
    sections = {name: fields.get(f"section_{name}", fields.get(name)) for name in SECTIONS}
    texts = {name: text_or_empty(text) for name, text in sections.items() if isinstance(text, str)}
    reference = " ".join(f"{name.capitalize()}: {text}" for name, text in texts.items() if text)
    if reference or (texts and "reference" not in fields):
        given["reference"] = reference
    return given


def _json(where: str, text: str) -> Any:
    def fields(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if twice := _twice([name for name, _ in pairs]):
            raise ScoringError(f"{where}: {twice!a} occurs twice in one object; keep one of them.")
        return dict(pairs)

    try:
        value = json.loads(text, object_pairs_hook=fields)
    except json.JSONDecodeError as error:
        lines = error.msg == "Extra data" and text.lstrip().startswith("{")
        ask = "if it has one object a line, name it .jsonl" if lines else "write complete JSON"
        raise ScoringError(f"{where}: not JSON ({error}); {ask}.") from error
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            found = f"{error.object[error.start]!a}"
            raise ScoringError(
                f"{where}: {found} is half of a character (a lone surrogate); write the whole character."
            ) from error
    return value


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""The escape of half a character beyond the first 65,536 (a surrogate): legal JSON, but not text by itself."""


def _twice(names: Iterable[str]) -> str | None:
    """A name that occurs more than once; None if there is none."""
    return next((name for name, times in Counter(names).most_common(1) if times > 1), None)
