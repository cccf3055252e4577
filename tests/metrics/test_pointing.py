from __future__ import annotations

import math

import pytest
import torch

from ammrg.findings import FINDINGS, NUM_FINDINGS
from ammrg.metrics.pointing import PointingCases, PointingGame, peak_of, pointing_scores
from ammrg.types import Box, StudyBatch


def batch(labels: torch.Tensor, boxes: list[Box]) -> StudyBatch:
    count = len(labels)
    return StudyBatch(
        images=torch.zeros(count, 1, 4, 4, dtype=torch.uint8),
        study_of_view=torch.arange(count),
        labels=labels,
        reports=[""] * count,
        study_ids=[f"s{i}" for i in range(count)],
        subject_ids=[f"p{i}" for i in range(count)],
        projections=["frontal"] * count,
        boxes=boxes,
    )


def test_by_hand() -> None:
    labels = torch.full((2, NUM_FINDINGS), math.nan)
    labels[0, 1], labels[1, 1], labels[1, 2] = 1.0, 1.0, -1.0
    boxes = [
        Box(0, 1, 0.0, 0.0, 0.2, 0.2),  # two boxes of one case: one hit is enough
        Box(0, 1, 0.75, 0.75, 1.0, 1.0),
        Box(1, 1, 0.0, 0.0, 0.25, 0.25),
        Box(1, 2, 0.0, 0.0, 1.0, 1.0),  # uncertain: no case
    ]
    maps = torch.zeros(2, NUM_FINDINGS, 4, 4)
    maps[0, 1, 3, 3] = 1.0
    maps[1, 1, 0, 3] = 5.0
    game = PointingGame()
    game.update(maps, batch(labels, boxes))
    cases = game.compute()
    assert cases is not None
    assert cases.findings.tolist() == [1, 1]
    assert sorted(cases.hits.tolist()) == [0.0, 1.0]
    assert sorted(cases.mean_map_hits.tolist()) in ([0.0, 0.0], [0.0, 1.0])
    scores = pointing_scores(cases, 50)
    assert scores["pointing_game"]["value"] == pytest.approx(0.5)
    assert scores["pointing_game_by_finding"]["Cardiomegaly"]["cases"] == 2
    maps[1, 1] = 0.0  # a map of zeros points nowhere
    game.reset()
    game.update(maps, batch(labels, boxes))
    shown = game.compute()
    assert shown is not None
    assert shown.hits.sum() == 1
    assert shown.mean_map_hits.sum() == 1  # nor does it take part in the mean map
    # Just beside the box: centre at 0.125, box from 0.125 + tolerance.
    game.reset()
    near = [Box(0, 1, 0.125 + 14 / 224, 0.0, 1.0, 0.2), Box(1, 1, 0.125 + 16 / 224, 0.0, 1.0, 0.2)]
    maps[:, 1] = 0.0
    maps[:, 1, 0, 0] = 1.0
    game.update(maps, batch(labels, near))
    assert sorted(game.compute().hits.tolist()) == [0.0, 1.0]  # type: ignore[union-attr]


def test_the_peak_lies_where_its_token_is_centred() -> None:
    """A box that begins more than the tolerance right of the shifted peak, but not of the cell's middle."""
    labels, maps = torch.zeros(1, NUM_FINDINGS), torch.zeros(1, NUM_FINDINGS, 4, 4)
    labels[0, 1], maps[0, 1, 0, 1] = 1.0, 1.0
    for shift, hit in ((0.0, 1.0), (-0.5, 0.0)):
        game = PointingGame(shift)
        game.update(maps, batch(labels, [Box(0, 1, 0.4, 0.0, 1.0, 0.5)]))
        cases = game.compute()
        assert cases is not None
        scores = pointing_scores(cases, 20)
        assert scores["pointing_game"]["value"] == scores["pointing_game_mean_map"]["value"] == hit


def test_without_a_box_there_is_no_case() -> None:
    game = PointingGame()
    game.update(torch.ones(1, NUM_FINDINGS, 2, 2), batch(torch.ones(1, NUM_FINDINGS), []))
    assert game.compute() is None


def test_cases_of_too_few_patients_have_no_interval() -> None:
    """Each finding by its own patients: ten of one finding, two of the other."""
    cases = PointingCases(
        findings=torch.tensor([1] * 10 + [2] * 4),
        hits=torch.tensor([1.0, 0.0] * 7),
        mean_map_hits=torch.zeros(14),
        subjects=torch.tensor([*range(10), 0, 1, 0, 1]),
    )
    found = pointing_scores(cases, 50)
    by_finding = found["pointing_game_by_finding"]
    assert found["pointing_game"]["low"] < 0.5 < found["pointing_game"]["high"]
    assert by_finding["Cardiomegaly"]["low"] is not None
    assert (by_finding[FINDINGS[2]]["value"], by_finding[FINDINGS[2]]["low"]) == (0.5, None)


@pytest.mark.parametrize("value", [0.0, 2.0, math.nan, math.inf])
def test_a_map_that_shows_no_place_has_no_peak(value: float) -> None:
    assert peak_of(torch.full((4, 4), value)).isnan().all()
    heat = torch.zeros(4, 4)
    heat[1, 2] = 1.0
    assert peak_of(heat).tolist() == [2.5 / 4, 1.5 / 4]
