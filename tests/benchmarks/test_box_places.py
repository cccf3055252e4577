"""The cut heights of levels are those that agree best with the phantom's plan."""

from __future__ import annotations

import json

import pytest

from ammrg.text.box_places import LOWER_FROM, MID_FROM
from benchmarks.box_places import STUDIES, agreement, best_cuts, drawn, main


@pytest.mark.slow
def test_no_cuts_agree_better_on_the_training_studies() -> None:
    boxes = {version: list(drawn(version, "train", STUDIES)) for version in (1, 2)}
    most, cuts = best_cuts(boxes)
    assert cuts == [(MID_FROM, LOWER_FROM)]
    levels = [agreement(of_version)["level"] for of_version in boxes.values()]
    assert levels == pytest.approx([0.862, 1.0], abs=0.0005)
    assert most == pytest.approx(sum(levels) / 2)


def test_a_few_studies_agree_nearly_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick"]) == 0
    best, *placed, test = json.loads(capsys.readouterr().out.splitlines()[-1])["cases"]
    assert best["best"] >= sum(found["level"] for found in placed[:2]) / 2
    assert [(found["split"], found["version"]) for found in placed] == [
        ("train", 1),
        ("train", 2),
        ("val", 1),
        ("val", 2),
    ]
    for found in placed:
        assert found["level"] > {1: 0.75, 2: 0.95}[found["version"]]
        assert found["side"] > 0.9
    # References tell nearly all sides, but leave out some levels.
    assert test["box_side_f1"] > max(0.8, test["box_level_f1"])
