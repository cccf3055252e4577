"""Attributes of a DICOM data set as numbers. Absent and empty ones give no value; invalid ones raise an error."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable
from typing import Any


def numbers(tags: Any, keyword: str) -> list[float | None]:
    """Read all values of an attribute as numbers; blank ones are None.

    Args:
        tags: a pydicom ``Dataset``.
        keyword: of the attribute. Its value representation does not matter (text is split at backslashes).

    Returns:
        Finite numbers; empty where the attribute is absent or empty.

    Raises:
        ValueError: a value is not a number or not finite, or the attribute is a sequence; the message names attribute
            and value.
    """
    found = value_of(tags, keyword)
    if isinstance(found, bytes):
        found = found.decode("ascii", "replace").strip("\0 ")
    parts = found.split("\\") if isinstance(found, str) else found if isinstance(found, Iterable) else [found]
    try:
        values = [None if part is None or not str(part).strip() else float(str(part)) for part in parts]
    except ValueError:
        raise ValueError(f"{named(tags, keyword)}, expected a number") from None
    if not all(value is None or math.isfinite(value) for value in values):
        raise ValueError(f"{named(tags, keyword)}, expected a finite number")
    return values if any(value is not None for value in values) else []


def number(tags: Any, keyword: str) -> float | None:
    """Read the first value of an attribute that is not blank; None where there is none.

    Raises:
        ValueError: as in :func:`numbers`.
    """
    return next((value for value in numbers(tags, keyword) if value is not None), None)


def whole(tags: Any, keyword: str, default: int) -> int:
    """Read the first value of an attribute as an integer; ``default`` where it has none.

    Raises:
        ValueError: as in :func:`numbers`, or the value is a fraction.
    """
    value = number(tags, keyword)
    if value is not None and not value.is_integer():
        raise ValueError(f"{named(tags, keyword)}, expected an integer")
    return default if value is None else int(value)


def items(tags: Any, keyword: str) -> list[Any]:
    """Return the items of a sequence that are not empty; no items where it is absent or empty.

    Raises:
        ValueError: the attribute is not a sequence.
    """
    found = value_of(tags, keyword)
    if found is None or len(found) == 0:
        return []
    if isinstance(found, str | bytes):
        raise ValueError(f"{named(tags, keyword)}, expected a sequence of items")
    return [item for item in found if len(item)]


def named(tags: Any, keyword: str) -> str:
    """Name an attribute with its tag and value, for a message: ``(0028,1053) RescaleSlope is 0``."""
    found = value_of(tags, keyword)
    listed = isinstance(found, Iterable) and not isinstance(found, str | bytes)
    return f"{with_tag(keyword)} is {text(chr(92).join(map(str, found)) if listed else found) or 'empty'}"


def with_tag(keyword: str) -> str:
    """Name a keyword with its tag: ``(0028,1053) RescaleSlope``."""
    tag = importlib.import_module("pydicom.datadict").tag_for_keyword(keyword)
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword}"


def value_of(tags: Any, keyword: str) -> Any:
    """Return an attribute's value as pydicom converts it, its bytes as text where that fails; None = absent."""
    if keyword not in tags:
        return None
    try:
        return tags[keyword].value
    except Exception:  # pydicom's converters raise many types of exception on invalid values
        found = tags.get_item(keyword).value
        return found.decode("ascii", "replace").strip("\0 ") if isinstance(found, bytes) else str(found)


def text(value: Any) -> str:
    """Turn any value into at most 40 printable characters, for a message."""
    return "".join(letter for letter in str("" if value is None else value) if letter.isprintable())[:40].strip()
