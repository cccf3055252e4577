"""Attributes of a DICOM data set as numbers: one that is absent, empty or blank says nothing, nonsense is named."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable
from typing import Any


def numbers(tags: Any, keyword: str) -> list[float | None]:
    """All values of an attribute; blank ones are None.

    Args:
        tags: a pydicom ``Dataset``.
        keyword: of the attribute, whatever value representation the file gives it (text is split at backslashes).

    Returns:
        Finite numbers; empty where the attribute is absent or empty.

    Raises:
        ValueError: names attribute and value: no number, not finite, or a sequence.
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
    """The first value that an attribute has, None where it has none.

    Raises:
        ValueError: as :func:`numbers`.
    """
    return next((value for value in numbers(tags, keyword) if value is not None), None)


def whole(tags: Any, keyword: str, default: int) -> int:
    """The first value of an attribute as an integer.

    Raises:
        ValueError: as :func:`numbers`, or a fraction.
    """
    value = number(tags, keyword)
    if value is not None and not value.is_integer():
        raise ValueError(f"{named(tags, keyword)}, expected an integer")
    return default if value is None else int(value)


def items(tags: Any, keyword: str) -> list[Any]:
    """The items of a sequence that hold anything; none where it is absent or empty.

    Raises:
        ValueError: the attribute is no sequence.
    """
    found = value_of(tags, keyword)
    if found is None or len(found) == 0:
        return []
    if isinstance(found, str | bytes):
        raise ValueError(f"{named(tags, keyword)}, expected a sequence of items")
    return [item for item in found if len(item)]


def named(tags: Any, keyword: str) -> str:
    """An attribute with its tag and value, for a message: ``(0028,1053) RescaleSlope is 0``."""
    found = value_of(tags, keyword)
    listed = isinstance(found, Iterable) and not isinstance(found, str | bytes)
    return f"{with_tag(keyword)} is {text(chr(92).join(map(str, found)) if listed else found) or 'empty'}"


def with_tag(keyword: str) -> str:
    """A keyword and its tag: ``(0028,1053) RescaleSlope``."""
    tag = importlib.import_module("pydicom.datadict").tag_for_keyword(keyword)
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {keyword}"


def value_of(tags: Any, keyword: str) -> Any:
    """What pydicom makes of an attribute, or its bytes as text where it can make nothing of them; None = absent."""
    if keyword not in tags:
        return None
    try:
        return tags[keyword].value
    except Exception:  # its converters raise as many kinds as there are ways to write nonsense
        found = tags.get_item(keyword).value
        return found.decode("ascii", "replace").strip("\0 ") if isinstance(found, bytes) else str(found)


def text(value: Any) -> str:
    """A tag's value for a message, of whatever a broken file put there: printable, and not long."""
    return "".join(letter for letter in str("" if value is None else value) if letter.isprintable())[:40].strip()
