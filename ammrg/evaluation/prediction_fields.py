"""Single fields of a predictions file, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ammrg.errors import ScoringError
from ammrg.evaluation.column_names import WORDS
from ammrg.findings import FINDINGS
from ammrg.ids import plain_id
from ammrg.types import PROJECTIONS, FilmBox

TEXTS = ("generated", "reference")
"""Fields that are a study's texts."""


def id_text(where: str, row: Mapping[str, Any], field: str) -> str:
    """An id without white space around it. A whole number is an id too, even if written as ``7.0``.

    Raises:
        ScoringError: if the field is neither text nor a whole number.
    """
    value = row.get(field)
    if isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1:
        return str(int(value))
    return plain_id(plain_text(where, row, field))


def plain_text(where: str, row: Mapping[str, Any], field: str) -> str:
    """A field that must be text; where a study's text is missing, it is empty, as an empty cell of a table is.

    Raises:
        ScoringError: if it is not.
    """
    value = row.get(field)
    if field in TEXTS and is_missing(value):
        return ""
    if field in WORDS and value is None:
        raise ScoringError(f"{where}: field '{field}' has no value (null, None); every study needs one.")
    if not isinstance(value, str):
        raise ScoringError(f"{where}: field '{field}' is {value!r}; it must be text.")
    return value


def is_missing(value: Any) -> bool:
    """Whether a value of JSON is none: ``null``, or the NaN that ReXrank's files and pandas write."""
    return value is None or value != value  # only NaN is unequal to itself


def in_training(where: str, value: Any) -> bool | None:
    """The field ``reference_in_training``; None if it is absent or empty.

    Raises:
        ScoringError: if it is neither true nor false.
    """
    if value is None or isinstance(value, bool):
        return value
    # Spellings that programs write into tables.
    known = {"": None, "true": True, "1": True, "false": False, "0": False}
    if not isinstance(value, str) or value.lower() not in known:
        raise ScoringError(f"{where}: field 'reference_in_training' is {value!r}; it must be true or false.")
    return known[value.lower()]


def retrieved_texts(where: str, value: Any) -> tuple[str, ...]:
    """The texts in the field ``reports``: what the study's memory retrieved.

    Raises:
        ScoringError: if the field is not a list of objects.
    """
    if not value:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ScoringError(f"{where}: field 'reports' must be a list of objects with a 'text'.")
    return tuple(each["text"] for each in value if isinstance(each.get("text"), str))


def film_boxes(where: str, value: Any) -> tuple[FilmBox, ...]:
    """The field ``boxes``: the places of the study's findings on its films.

    Raises:
        ScoringError: if it is not a list of objects with a known finding, a box and a projection.
    """
    if not value:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ScoringError(f"{where}: field 'boxes' must be a list of objects with finding, box and projection.")
    return tuple(_film_box(where, each) for each in value)


def _film_box(where: str, fields: Mapping[str, Any]) -> FilmBox:
    finding, projection = (plain_text(where, fields, name) for name in ("finding", "projection"))
    if finding not in FINDINGS:
        raise ScoringError(f"{where}: field 'boxes' names the finding {finding!r}; it must be one of the 14 findings.")
    if projection not in PROJECTIONS:
        raise ScoringError(
            f"{where}: field 'boxes' has the projection {projection!r}; it must be one of {', '.join(PROJECTIONS)}."
        )
    corners: Any = fields.get("box")
    numbers = isinstance(corners, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) for each in corners
    )
    if not numbers or len(corners) != 4 or not all(0 <= corners[i] < corners[i + 2] <= 1 for i in (0, 1)):
        raise ScoringError(
            f"{where}: field 'boxes' has the box {corners!r}; give x0, y0, x1, y1 as shares of the film, "
            "0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1."
        )
    return FilmBox(finding, (corners[0], corners[1], corners[2], corners[3]), projection)
