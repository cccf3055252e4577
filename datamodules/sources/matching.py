"""Rows of one table that belong to a study (or film) of another: how many, and none is an error.

Tables that programs have written again call the same study otherwise: ``1.0`` for ``1``, ``0001``, ``CXR1``,
``s50414267``. What is clearly the same id is read as the same; what then still matches nothing would be passed over row
by row, and the card would name a table that gave nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from ammrg.errors import DataError


def match_rows(
    table: Path | str, keys: Sequence[str], known: Collection[str], column: str, wanted: str = "study"
) -> dict[str, str]:
    """How many rows of a table belong to something that is known, for the card.

    Args:
        table: the file, for the message.
        keys: what each row is called, as it was read.
        known: what the studies (or films) of the rest of the folder are called.
        column: where a row's name stands.
        wanted: what a row is of.

    Returns:
        File name -> what to say; empty for a table without rows.

    Raises:
        DataError: no row belongs to anything that is known.
    """
    if not keys:
        return {}
    strangers = [key for key in keys if key not in known]
    if len(strangers) == len(keys):
        there = f"a {wanted} here is called {min(known)!r}" if known else f"there is no {wanted}"
        raise DataError(
            f"{table}: none of its {len(keys):,} rows belongs to a {wanted} of this folder: the first has {column} "
            f"{keys[0]!r}, and {there}. Write the ids as there, or take the table away"
        )
    named = f" (first that does not: {column} {strangers[0]!r})" if strangers else ""
    return {Path(table).name: f"{len(keys) - len(strangers):,} of {len(keys):,} rows match a {wanted}{named}"}
