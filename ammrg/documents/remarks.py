"""What a reader of a document must know before its findings."""

from __future__ import annotations

from collections.abc import Iterator

from ammrg.documents.statement import STATEMENT
from ammrg.inference.description import Description


def remarks(description: Description) -> Iterator[str]:
    """Notice, model, distance from the training films, films left out, and warnings: a sentence each."""
    yield STATEMENT
    yield from description.background
    if description.operating_note:
        yield description.operating_note
    if (missing := left_out(description)) is not None:
        yield missing
    yield from description.warnings
    yield "A finding counts as present where its probability is above its threshold."


def left_out(description: Description) -> str | None:
    """How many films of the study were not read, and why; None where all were.

    A reason may name another file, whose name may be a patient's, so it is called another film here.
    """
    aside = description.set_aside
    if not aside:
        return None
    files = sorted({*description.films, *(each.path for each in aside)}, key=len, reverse=True)
    found = dict.fromkeys(each.reason.rstrip(".") for each in aside)
    for file in files:
        found = dict.fromkeys(reason.replace(file, "another film") for reason in found)
    reasons = "; ".join(found)
    return f"WARNING: left out were {len(aside)} of the study's {len(description.views) + len(aside)} films: {reasons}."
