"""Mined regions get the place of their box and the words of their report; contradicted ones are left out."""

from __future__ import annotations

import pytest
import torch

from ammrg.findings import FINDINGS
from ammrg.memory.regions import Region
from lightning_modules.mined_films import mined_films
from tests.tiny_stage2 import batch

EFFUSION, HEART = FINDINGS.index("Pleural Effusion"), FINDINGS.index("Cardiomegaly")
LEFT_BOX, RIGHT_BOX = (0.6, 0.6, 0.9, 0.9), (0.1, 0.6, 0.4, 0.9)
"""The patient's left is the right half of the film."""


def kept(report: str, projection: str, *regions: tuple[int, tuple[float, ...]]) -> list[Region]:
    studies = batch()
    found = [[Region(finding, box, 0.9, torch.zeros(4)) for finding, box in regions]]  # type: ignore[arg-type]
    found += [[] for _ in studies.study_of_view[1:]]
    reports = [report, *studies.reports[1:]]
    projections = [projection, *["frontal"] * (len(found) - 1)]
    shown = torch.ones(len(found), 14, dtype=torch.bool)
    films = mined_films(studies._replace(reports=reports, projections=projections), found, shown, shown)
    return films[0].regions


@pytest.mark.parametrize(
    ("report", "sides"),
    [
        ("There is a left pleural effusion.", ["left"]),
        ("There is a right pleural effusion.", ["right"]),
        ("There are bilateral pleural effusions.", ["left", "right"]),
        ("There is a pleural effusion.", ["left", "right"]),  # no side is named, so none is contradicted
    ],
)
def test_a_region_on_the_other_side_than_the_report_names_is_left_out(report: str, sides: list[str]) -> None:
    regions = kept(report, "frontal", (EFFUSION, LEFT_BOX), (EFFUSION, RIGHT_BOX))
    assert [{LEFT_BOX: "left", RIGHT_BOX: "right"}[region.box] for region in regions] == sides
    assert all(region.text == report for region in regions)
    for region in regions:
        assert region.place is not None
        assert region.place[:2] == ((True, False) if region.box == LEFT_BOX else (False, True))


def test_a_lateral_film_has_the_side_of_the_report() -> None:
    (region,) = kept("There is a right pleural effusion.", "lateral", (EFFUSION, LEFT_BOX))
    assert region.place is not None
    assert region.place[:2] == (False, True)


def test_the_heart_has_no_side_to_contradict() -> None:
    assert len(kept("The heart is enlarged to the left.", "frontal", (HEART, RIGHT_BOX))) == 1
