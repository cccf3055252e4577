"""The UIDs of a description's documents: new ones, or ones derived from what was described and by which model."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ammrg.documents.statement import VERSION

NAMESPACE = uuid.UUID("6c2d4d0c-5a4e-5c0b-9d6e-0c6c1f3f8a51")
"""Of derived UIDs. It never changes: an archive may hold documents with these UIDs."""


class DocumentIdentifiers(NamedTuple):
    """Series and SOP Instance UIDs of the documents of one description; each document has a series of its own."""

    report_series: str
    report: str
    map_series: str
    map: str
    page_series: str
    page: str


def new_identifiers() -> DocumentIdentifiers:
    """Make UIDs that nobody has (random, PS3.5 B.2)."""
    return _made(lambda name: uuid.uuid4())


def derived_identifiers(study_uid: str, films: Sequence[str], model: str) -> DocumentIdentifiers:
    """Derive UIDs from all that a description depends on, so that the same one made again has the same, and only it.

    The version of this program is part of it.

    Args:
        study_uid: StudyInstanceUID.
        films: something of each film that changes with its content, in any order.
        model: the model's fingerprint.
    """
    origin = "|".join((study_uid, *sorted(films), model, VERSION))
    return _made(lambda name: uuid.uuid5(NAMESPACE, f"{origin}|{name}"))


def _made(make: Callable[[str], uuid.UUID]) -> DocumentIdentifiers:
    return DocumentIdentifiers(*(f"2.25.{make(name).int}" for name in DocumentIdentifiers._fields))
