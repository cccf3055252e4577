"""What one film cannot show, in sentences labelled by hand: ``python -m benchmarks.labelled_unseen``.

``labelled_unseen.csv`` beside this file holds sentences written for this project, none from a data set, with the kinds
of :data:`ammrg.text.unseen_words.KINDS` that they speak of; many are look-alikes that speak of none. They were labelled
before the rules of :mod:`ammrg.text.unseen` were written, except the last nine, which were added for faults found on
real reports; those of ``held_out_unseen.csv`` after the rules. Prints a table and the sentences that are read
differently, then one JSON line.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ammrg.errors import DataError
from ammrg.text.unseen import unseen_kinds
from ammrg.text.unseen_words import KINDS
from benchmarks._misread import measure

SENTENCES = Path(__file__).with_name("labelled_unseen.csv")


class Sentence(NamedTuple):
    """One sentence and what it speaks of."""

    kind: str
    text: str
    unseen: frozenset[str]
    """Kinds out of :data:`ammrg.text.unseen_words.KINDS`."""


def read(path: Path) -> list[Sentence]:
    """The sentences of a file, in its order.

    Args:
        path: a table with the columns ``kind``, ``sentence`` and ``unseen``, such as ``change size``.

    Raises:
        DataError: if there is no such file, or a row has an unknown kind.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; give one with the columns of {SENTENCES.name}.")
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            unseen = frozenset(row["unseen"].split())
            if wrong := sorted(unseen - {*KINDS}):
                raise DataError(f"{path}: row {number}: {wrong[0]!r} is none of {', '.join(KINDS)}.")
            found.append(Sentence(row["kind"], row["sentence"], unseen))
    return found


def misread(sentence: Sentence) -> dict[str, tuple[str, str]]:
    """Kind -> (whether it is read, whether the sentence speaks of it) where they differ."""
    ours = unseen_kinds(sentence.text)
    return {kind: (_words(kind in ours), _words(kind in sentence.unseen)) for kind in sorted(ours ^ sentence.unseen)}


def _words(spoken_of: bool) -> str:
    return "as said" if spoken_of else "as not said"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    return measure(
        argv,
        benchmark="labelled_unseen",
        description=__doc__.splitlines()[0],
        sentences=SENTENCES,
        read=read,
        misread=misread,
        columns={"read right": lambda sentence: True, "look-alikes": lambda sentence: not sentence.unseen},
        shape=lambda counts: counts["read right"],
    )


if __name__ == "__main__":
    raise SystemExit(main())
