"""Other names for the columns of predictions files: ``id=study,text=prediction``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ammrg.errors import ScoringError

FIELDS = {"id": "study_id", "text": "generated", "reference": "reference", "patient": "subject_id"}
"""Word of ``--columns`` -> the field that it names a column for."""

WORDS = {field: word for word, field in FIELDS.items()}
"""Field that may have another name -> its word in ``--columns``."""

IN_TWO_FILES = {"generated", "reference"}
"""Fields that may have the same column, where the references are in a file of their own."""

ASIDE = " (set aside)"
"""Added to the name of a column that has a field's name, but is not the one asked for."""

Columns = str | Mapping[str, str] | None
"""Other names: a text like ``id=study,text=prediction``, or ``{"id": "study", "text": "prediction"}``; None: none."""


def parse_columns(columns: Columns) -> dict[str, str]:
    """Field -> column; empty where no other name is given.

    Raises:
        ScoringError: if a part is not WORD=COLUMN, its word is unknown, or a word or column occurs twice (except one
            column for ``text`` and ``reference``, in files of their own).
    """
    found: dict[str, str] = {}
    for word, column in _pairs(columns):
        part = f"{word}={column}" if column else word
        if word not in FIELDS or not isinstance(column, str) or not column:
            raise ScoringError(
                f"--columns: {part!r} names no column; write WORD=COLUMN with a word of {', '.join(FIELDS)}."
            )
        others = {field for field, named in found.items() if named == column}
        if FIELDS[word] in found or (others and others | {FIELDS[word]} != IN_TWO_FILES):
            raise ScoringError(f"--columns: {part!r} repeats a word or a column; name one column for each word.")
        found[FIELDS[word]] = column
    return found


def columns_of_references(columns: Mapping[str, str]) -> dict[str, str]:
    """Those of a file of references or of training reports: nothing in it is a generated text."""
    return {field: column for field, column in columns.items() if field != "generated"}


def columns_of_reports(columns: Mapping[str, str], with_references: bool) -> dict[str, str]:
    """Those of a predictions file, which has no references of its own if there is a file ``with_references``.

    Raises:
        ScoringError: if it has, and one column is named for both texts.
    """
    if with_references:
        return {field: column for field, column in columns.items() if field != "reference"}
    if "generated" in columns and columns["generated"] == columns.get("reference"):
        raise ScoringError(
            f"--columns: {columns['reference']!r} is named for text and reference, which needs two files; give that of "
            "the references with --references."
        )
    return dict(columns)


def own_names(fields: Iterable[str], columns: Mapping[str, str]) -> str:
    """The names that fields have in their file, with commas."""
    return ", ".join(columns.get(field, field).removesuffix(ASIDE) for field in fields)


def _pairs(columns: Columns) -> list[tuple[str, str]]:
    if isinstance(columns, Mapping):
        return list(columns.items())
    parts = filter(None, (each.strip() for each in (columns or "").split(",")))
    return [(word.strip(), column.strip()) for word, _, column in (part.partition("=") for part in parts)]


def house_names(where: str, names: Sequence[str], columns: Mapping[str, str], needed: Iterable[str]) -> dict[str, str]:
    """Name in a file -> name under which it is read.

    A file that lacks a named column may have the field under its own name (``study_id``), so files of different makers
    are read together. A column that has a field's name, but is not the one asked for, is set aside.

    Args:
        where: the file or line, for the message.
        names: in the file.
        columns: from :func:`parse_columns`.
        needed: fields that the file must have.

    Raises:
        ScoringError: if the file has neither the named column nor the field.
    """
    for field in needed:
        if not {columns.get(field, field), field} & set(names):
            raise no_field(where, field, ", ".join(names), columns)
    fields = {column: field for field, column in columns.items() if column in names}
    aside = set(fields.values()) - fields.keys()
    return {name: fields.get(name, f"{name}{ASIDE}" if name in aside else name) for name in names}


def no_field(where: str, field: str, found: str, columns: Mapping[str, str]) -> ScoringError:
    """The error of a file that lacks a field.

    Args:
        where: the file or line.
        field: one of :data:`FIELDS`.
        found: the names that the file has, as it writes them.
        columns: from :func:`parse_columns`.
    """
    ask = f"Name the file's own with --columns {WORDS[field]}=COLUMN (in Python, columns=)"
    named = columns.get(field, field)
    missing = repr(field)
    if field in columns:
        missing = f"{named!r}{'' if named == field else f' (nor {field!r})'}, which --columns names"
        ask = "Rename the file's column, or name it in --columns (one name for all files)"
    alike = next((name for name in found.split(", ") if _letters(name) == _letters(named)), None)
    rename = "" if alike is None else f"; rename {alike!r} to {named!r}"
    return ScoringError(f"{where}: no field {missing}; found {found or 'none'}{rename}. {ask}.")


def _letters(name: str) -> str:
    """A name without capitals, spaces and marks."""
    return "".join(filter(str.isalnum, name.lower()))
