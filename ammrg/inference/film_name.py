"""What a film is called in sentences that leave the machine: a file's name may be a patient's."""

from __future__ import annotations

from collections.abc import Sequence

from ammrg.studies.records import StudyView


def film_numbers(views: Sequence[StudyView]) -> list[int]:
    """The numbers of the films that the network read, from 1 in the study, as on the page; 0 for a study's only film.

    Args:
        views: all films of the study.
    """
    first = 1 if len(views) > 1 else 0
    return [number for number, view in enumerate(views, first) if view.is_read]


def film_name(number: int) -> str:
    """``film 2``, or ``this film`` for a study's only one."""
    return f"film {number}" if number else "this film"
