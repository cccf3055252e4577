"""Which reports are alike, and which regions lie in the place that a report names."""

from __future__ import annotations

import itertools

import torch

from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.networks.places import elements_of
from ammrg.networks.recall_targets import are_alike, finding_sides, in_same_place
from ammrg.text.places import Place, finding_places

REPORTS = [
    "Left pleural effusion. The heart is enlarged.",
    "Right pleural effusion. The heart is enlarged.",
    "Bilateral pleural effusions.",
    "The heart is enlarged.",
    "The lungs are clear.",
    "Normal chest. A pacemaker is in place.",
    "Pneumonia in the right upper lobe with a left pleural effusion and cardiomegaly.",
]


def sets(report: str) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for name, place in finding_places(report).items():
        if FINDINGS.index(name) in ABNORMAL:
            found |= {(name, side) for side in place.side or {"none"}}
    return found


def test_reports_are_alike_by_the_jaccard_index_of_their_sets() -> None:
    read = finding_sides(REPORTS)
    alike = are_alike(read, read)
    for i, j in itertools.product(range(len(REPORTS)), repeat=2):
        ours, theirs = sets(REPORTS[i]), sets(REPORTS[j])
        index = len(ours & theirs) / len(ours | theirs) if ours | theirs else 1.0
        assert bool(alike[i, j]) == (index >= 0.5), (REPORTS[i], REPORTS[j])
    assert not alike[0, 1]  # another side
    assert alike[0, 3]
    assert alike[0, 6]
    assert not alike[4, 3]


def test_a_region_lies_in_the_place_if_it_shares_side_and_level() -> None:
    def row(side: str = "", level: str = "") -> tuple[bool, ...]:
        return elements_of(Place(frozenset(side.split()), frozenset(level.split())))

    asked = torch.tensor([row("left", "upper"), row("left right"), row()])
    stored = torch.tensor([row("left", "upper"), row("left", "lower"), row("right", "upper"), row(), row("left")])
    assert in_same_place(asked.float(), stored).tolist() == [
        [True, False, False, True, True],
        [True, True, True, True, True],
        [True, True, True, True, True],
    ]
