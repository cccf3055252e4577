"""Tests the rule-based labeler on sentences labelled by hand, by kind: ``python -m benchmarks.labelled_sentences``.

``labelled_sentences.csv`` beside this file has sentences written for this project; none is from a data set. Each is an
example of a kind (a heading with a value, a change, a doubt ...), or looks like one but must be read differently. They
were labelled before the labeler's rules for these kinds were written. Those of ``held_out_sentences.csv`` were labelled
later, without looking at the rules. A sentence is right if all 13 abnormal findings are labelled as by hand; findings
that it does not name must be blank. Labels mean: resolved or removed is absent; partly or nearly resolved is present;
unlikely, doubtful or not excluded is uncertain; "as before" is present. Prints a table and the misread sentences, then
one JSON line.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ammrg.errors import DataError
from ammrg.findings import ABNORMAL, BLANK, FINDINGS, NEGATIVE, POSITIVE, UNCERTAIN
from ammrg.text.labeler import label
from benchmarks._misread import measure

SENTENCES = Path(__file__).with_name("labelled_sentences.csv")
COLUMNS = {"present": POSITIVE, "absent": NEGATIVE, "uncertain": UNCERTAIN}
"""Columns that list findings, separated by semicolons -> the label of these findings."""
WORDS = {value: name for name, value in COLUMNS.items()}


class Sentence(NamedTuple):
    """One sentence with its labels."""

    kind: str
    look_alike: bool
    """Whether it only looks like its kind."""
    text: str
    labels: dict[str, float]
    """Finding -> 1 present, 0 absent, -1 uncertain; findings it does not name are left out."""


def read(path: Path) -> list[Sentence]:
    """The sentences of a file, in its order.

    Raises:
        DataError: there is no such file, or a row names an unknown finding or a finding twice.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; give one with the columns of {SENTENCES.name}.")
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            said = [
                (name.strip(), value)
                for column, value in COLUMNS.items()
                for name in row[column].split(";")
                if name.strip()
            ]
            labels = dict(said)
            wrong = [name for name in labels if name not in FINDINGS]
            if wrong:
                raise DataError(
                    f"{path}: row {number}: {wrong[0]!r} is not a finding; give one of {', '.join(FINDINGS)}"
                )
            if len(labels) < len(said):
                raise DataError(f"{path}: row {number} names a finding twice; name it once")
            found.append(Sentence(row["kind"], row["role"] == "look-alike", row["sentence"], labels))
    return found


def misread(sentence: Sentence) -> dict[str, tuple[str, str]]:
    """The findings that the labeler gets wrong: finding -> (its label, the right label)."""
    ours = label(sentence.text)
    differing = {}
    for i in ABNORMAL:
        value = sentence.labels.get(FINDINGS[i], BLANK)
        if ours[i] != value and not (math.isnan(ours[i]) and math.isnan(value)):
            differing[FINDINGS[i]] = (WORDS.get(ours[i], "unmentioned"), WORDS.get(value, "unmentioned"))
    return differing


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    return measure(
        argv,
        benchmark="labelled_sentences",
        description=__doc__.splitlines()[0],
        sentences=SENTENCES,
        read=read,
        misread=misread,
        columns={"cases": lambda each: not each.look_alike, "look-alikes": lambda each: each.look_alike},
        shape=lambda counts: {"cases": counts["cases"], "look_alikes": counts["look-alikes"]},
    )


if __name__ == "__main__":
    raise SystemExit(main())
