"""What a run's scores say of its mirrored films: a table, a sentence with the verdict, and a note for the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from ammrg.evaluation.verdicts import MIRRORED, Sentence, short
from ammrg.metrics.location import FEWEST_PAIRS
from ammrg.metrics.mirroring import FOLLOWS, OUTCOMES

COIN = 0.5
"""The share that follows where a coin decides each side."""


def mirrored_row(scores: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The row of :func:`ammrg.metrics.mirroring.mirrored_follows` in scores.json; None if the guard was not written."""
    row: Mapping[str, Any] | None = scores["guards"].get(MIRRORED, {}).get(FOLLOWS)
    return row


def mirrored_table(scores: Mapping[str, Any]) -> Table | None:
    """The table of mirrored films, if they were written: n, the share that follows, and the count of each outcome."""
    row = mirrored_row(scores)
    if row is None:
        return None
    table = Table(title="films mirrored: findings that the report puts on one side", pad_edge=False)
    for column in ("n", "follow", "95% from", "to", *OUTCOMES):
        table.add_column(column, justify="right", no_wrap=True)
    shares = [short(row[part]) for part in ("value", "low", "high")]
    table.add_row(str(row["n"]), *shares, *(str(row[name]) for name in OUTCOMES))
    return table


def mirrored_note(row: Mapping[str, Any]) -> str:
    """The share in a few words, for the guard's row on the page."""
    return f"side flips: {mirrored_share(row)}; n = {row['n']}"


def mirrored_sentences(scores: Mapping[str, Any]) -> list[Sentence]:
    """The sentence on mirrored films; empty if they were not written.

    Args:
        scores: the contents of scores.json.
    """
    row = mirrored_row(scores)
    if row is None:
        return []
    if not row["n"]:
        text = "Films mirrored: the reports put no finding on one side (n = 0), so nothing can flip."
        return [Sentence(text, False)]
    text = (
        f"Films mirrored: of {row['n']} findings on one side, the side flips in {row['flipped']} "
        f"({mirrored_share(row)}), stays in {row['kept']}; {row['both']} are then on both sides, {row['unsided']} "
        f"without a side, {row['dropped']} not reported."
    )
    if row["n"] < FEWEST_PAIRS:
        return [Sentence(f"{text} n too small (below {FEWEST_PAIRS}), so no verdict.", False)]
    if row["low"] is None:
        return [Sentence(text, False)]
    if row["high"] < COIN:
        return [Sentence(f"{text} THE SIDE DOES NOT FOLLOW THE FILM.", True)]
    if row["low"] <= COIN:
        return [Sentence(f"{text} NO CLEAR SIGN THAT THE SIDE FOLLOWS THE FILM.", True)]
    return [Sentence(f"{text} The side follows the film.", False)]


def mirrored_share(row: Mapping[str, Any]) -> str:
    """The share with its 95% interval."""
    between = "" if row["low"] is None else f", 95% {short(row['low'])} to {short(row['high'])}"
    return f"{short(row['value'])}{between}"
