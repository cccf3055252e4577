"""What every reader of a raw data set returns, and the checks that readers share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ammrg.errors import SettingsError
from ammrg.text.blank import text_or_empty
from ammrg.types import Study

Section = Literal["findings", "impression", "both"]
SECTIONS: tuple[Section, ...] = ("findings", "impression", "both")
SPLITS = ("train", "val", "test")


class Rejection(NamedTuple):
    """A film that could not be used, and the reason."""

    study_id: str
    film: str
    """Path as the data set writes it, or ``view 1`` without one."""
    reason: str


class SourceReading(NamedTuple):
    """The content of a raw data set."""

    studies: Mapping[str, Sequence[Study]]
    """Split -> studies; a sequence may make its studies only when they are read, and can be sliced before."""
    source: str
    """The layout that was read, such as ``r2gen``, ``csv`` or ``xml``."""
    films: int
    """Number of films that the data set lists, readable or not."""
    rejected: tuple[Rejection, ...] = ()
    """Films that are listed but missing."""
    notes: Mapping[str, Any] = {}
    """Facts for the card: what was left out or assumed."""
    restricted: bool = True
    """Whether use of the data is restricted; False for films that show no real patient."""
    film_folder: Path | None = None
    """Folder from which unreadable films are named; None = by their file name alone."""


def check_source(dataset: str, source: str | None, known: Sequence[str]) -> None:
    """Refuse a layout that the data set does not have.

    Raises:
        SettingsError: the layout is unknown; the message lists the known ones.
    """
    if source is not None and source not in known:
        raise SettingsError(f"--source {source}: not known for {dataset}; give one of {', '.join(known)}")


def listed(raw: Path) -> str:
    """The first names in a folder, for messages that say what was found instead."""
    return ", ".join(sorted(os.listdir(raw))[:8]) or "an empty folder"


def section_text(study: Study, section: Section) -> str:
    """The text of one section, or empty; ``both`` is the findings followed by the impression."""
    if section == "both":
        return " ".join(part for part in (study.findings, study.impression) if part)
    return study.findings if section == "findings" else study.impression


def with_section(studies: Sequence[Study], section: Section) -> tuple[list[Study], int]:
    """The studies with a meaningful text in the section, and the number of the others."""
    kept = [study for study in studies if text_or_empty(section_text(study, section))]
    return kept, len(studies) - len(kept)
