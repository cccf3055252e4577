"""What a film is called in sentences that leave the machine: a file's name may be a patient's."""

from __future__ import annotations


def film_name(row: int, films: int) -> str:
    """``film 2``, as on the page, or ``this film``.

    Args:
        row: of the film, from 0, among those that the network read.
        films: how many it read.
    """
    return "this film" if films == 1 else f"film {row + 1}"
