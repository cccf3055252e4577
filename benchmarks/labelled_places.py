"""Words of place in sentences labelled by hand, kind by kind: ``python -m benchmarks.labelled_places``.

``labelled_places.csv`` beside this file holds sentences written for this project, none from a data set, with the side
and level of each finding that they affirm, as a reader understands them. They were labelled before the rules of
:mod:`ammrg.text.places` were written; those of ``held_out_places.csv`` later, without looking at the rules. A sentence
is right if it affirms the labelled findings and no other, each with the labelled sides and levels. Prints a table and
the sentences that are read differently, then one JSON line.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ammrg.errors import DataError
from ammrg.findings import FINDINGS
from ammrg.text.place_words import LEVELS, SIDES
from ammrg.text.places import Place, finding_places
from benchmarks._misread import measure

SENTENCES = Path(__file__).with_name("labelled_places.csv")


class Sentence(NamedTuple):
    """One sentence and what it says."""

    kind: str
    text: str
    places: dict[str, Place]
    """The place of each finding that it affirms."""


def read(path: Path) -> list[Sentence]:
    """The sentences of a file, in its order.

    Args:
        path: a table with the columns ``kind``, ``sentence`` and ``places``, such as
            ``Pleural Effusion: left; Atelectasis: left lower; Edema:``.

    Raises:
        DataError: if there is no such file, or a row has an unknown finding or word of place.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; give one with the columns of {SENTENCES.name}.")
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            places = {}
            for part in filter(str.strip, row["places"].split(";")):
                name, _, said = part.partition(":")
                words = set(said.split())
                wrong = [] if name.strip() in FINDINGS else [name.strip()]
                wrong += sorted(words - {*SIDES, *LEVELS})
                if wrong:
                    raise DataError(
                        f"{path}: row {number}: {wrong[0]!r} is no finding and no word of place; the words are "
                        f"{', '.join((*SIDES, *LEVELS))}."
                    )
                places[name.strip()] = Place(frozenset(words & {*SIDES}), frozenset(words & {*LEVELS}))
            found.append(Sentence(row["kind"], row["sentence"], places))
    return found


def misread(sentence: Sentence) -> dict[str, tuple[str, str]]:
    """Finding -> (what is read, what the sentence says) where they differ."""
    ours = finding_places(sentence.text)
    return {
        name: (_words(ours.get(name)), _words(sentence.places.get(name)))
        for name in FINDINGS
        if ours.get(name) != sentence.places.get(name)
    }


def _words(place: Place | None) -> str:
    if place is None:
        return "not affirmed"
    named = [name for name in (*SIDES, *LEVELS) if name in place.side | place.level]
    return " ".join(named) or "no place"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    return measure(
        argv,
        benchmark="labelled_places",
        description=__doc__.splitlines()[0],
        sentences=SENTENCES,
        read=read,
        misread=misread,
        columns={"read right": lambda sentence: True},
        shape=lambda counts: counts["read right"],
    )


if __name__ == "__main__":
    raise SystemExit(main())
