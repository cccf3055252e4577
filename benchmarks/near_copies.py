"""Measures how often other patients' reports are near copies: ``python -m benchmarks.near_copies DATASET RAW``.

A report that is nearly its study's reference raises an alarm (:mod:`ammrg.metrics.odd_texts`). Here no report is: each
study gets one of another patient, drawn at random, and in a second pass the one that shares most runs of words with its
reference, as a system would that retrieves whole reports and knows the reference. All splits are taken together. Prints
both shares, then one JSON line. Nothing of a text is printed.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from ammrg.commands.parser import CommandParser
from ammrg.errors import AMMRGError
from ammrg.metrics.odd_texts import GRAM, odd_texts
from benchmarks._result import print_result
from datamodules.sources.reading import read_source

DRAWS = 20
"""Draws of other patients' reports, whose mean share is printed."""


def share_copied(references: Sequence[str], reports: Sequence[str], patients: Sequence[str]) -> float:
    """The share of reports that count as copies of their study's reference."""
    found = odd_texts(references, reports, patients)
    return (found.copied + found.nearly_copied) / found.reports


def drawn(references: Sequence[str], patients: Sequence[str], draw: random.Random) -> list[str]:
    """For each study a random report of another patient."""
    return [_other(row, references, patients, draw) for row in range(len(references))]


def _other(row: int, references: Sequence[str], patients: Sequence[str], draw: random.Random) -> str:
    while patients[other := draw.randrange(len(references))] == patients[row]:
        pass
    return references[other]


def nearest(references: Sequence[str], patients: Sequence[str]) -> list[str]:
    """For each study the report of another patient that shares most runs of :data:`GRAM` words with its reference."""
    runs = [_runs(text) for text in references]
    holders = defaultdict[tuple[str, ...], list[int]](list)
    for row, found in enumerate(runs):
        for run in found:
            holders[run].append(row)
    best = []
    for row, found in enumerate(runs):
        shared = Counter(other for run in found for other in holders[run] if patients[other] != patients[row])
        # of those that share as many, the shortest: it has least beyond them
        best.append(min(shared, key=lambda other: (-shared[other], len(runs[other])), default=row))
    return [references[other] if other != row else "" for row, other in enumerate(best)]


def _runs(text: str) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {tuple(words[start : start + GRAM]) for start in range(len(words) - GRAM + 1)}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = CommandParser(prog="python -m benchmarks.near_copies", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", help="name of its layout, such as iu_xray or csv (docs/data.md)")
    parser.add_argument("raw", type=Path, help="folder of the raw data")
    options = parser.parse_args(argv)
    try:
        reading = read_source(options.dataset, options.raw)
    except AMMRGError as error:
        parser.error(str(error))
    studies = [study for split in reading.studies.values() for study in split if study.findings]
    texts, patients = [study.findings for study in studies], [study.subject_id for study in studies]
    if len(set(patients)) < 2:
        parser.error(f"{options.raw}: has reports of fewer than two patients")
    draw = random.Random(0)
    by_chance = sum(share_copied(texts, drawn(texts, patients, draw), patients) for _ in range(DRAWS)) / DRAWS
    retrieved = share_copied(texts, nearest(texts, patients), patients)
    print(f"{len(texts):,} reports of {options.dataset}: {by_chance:.2%} of random other patients' are near copies,")
    print(f"{retrieved:.1%} where each is the nearest of all other patients'")
    print_result("near_copies", [{"reports": len(texts), "by_chance": by_chance, "nearest": retrieved}], {})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
