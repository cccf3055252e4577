"""Counts the rows of a table that belong to known studies or films; it is an error if none does.

Tables that other programs have rewritten name the same study differently: ``1``, ``1.0``, ``0001``, ``CXR1`` or
``s50414267``. Readers accept ids that clearly mean the same. If still no row matched, the table would be ignored row by
row without a word, although the card lists it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ammrg.errors import DataError


def match_rows(
    table: Path | str, keys: Sequence[str], known: Collection[str], column: str, wanted: str = "study"
) -> dict[str, str]:
    """Count the rows of a table that belong to known studies or films, for the card.

    Args:
        table: the file, for the message.
        keys: the id in each row, as it was read.
        known: the ids of the studies or films in the other files of the folder.
        column: the column of the id.
        wanted: what a row describes, such as ``study`` or ``film``.

    Returns:
        File name -> a sentence with the count; empty for a table without rows.

    Raises:
        DataError: no row belongs to a known study or film.
    """
    if not keys:
        return {}
    strangers = [key for key in keys if key not in known]
    if len(strangers) == len(keys):
        there = f"a {wanted} here has the id {min(known)!r}" if known else f"there is no {wanted}"
        raise DataError(
            f"{table}: none of its {len(keys):,} rows belongs to a {wanted} of this folder: the first has {column} "
            f"{keys[0]!r}, but {there}. Write the ids in the same way, or remove the table"
        )
    named = f" (first that does not: {column} {strangers[0]!r})" if strangers else ""
    return {Path(table).name: f"{len(keys) - len(strangers):,} of {len(keys):,} rows match a {wanted}{named}"}
