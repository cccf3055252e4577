"""The cut heights of levels are those that agree best with the phantom's plan."""

from __future__ import annotations

import json

import pytest

from ammrg.metrics.box_places import LOWER_FROM, MID_FROM
from benchmarks.box_places import LUNG, STUDIES, agreement, best_cuts, drawn, main


@pytest.mark.slow
def test_no_cuts_agree_better_on_the_training_studies() -> None:
    boxes = [each for each in drawn("train", STUDIES) if each.sign.finding in LUNG]
    most, cuts = best_cuts(boxes)
    assert cuts == [(MID_FROM, LOWER_FROM)]
    assert most == pytest.approx(0.865, abs=0.0005)
    assert agreement(boxes)["level"] == most


def test_a_few_studies_agree_nearly_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick"]) == 0
    best, train, val, test = json.loads(capsys.readouterr().out.splitlines()[-1])["cases"]
    assert best["best"] >= train["level"]
    for found in (train, val):
        assert found["level"] > 0.75
        assert found["side"] > 0.9
    # References give nearly all sides, but leave out many levels.
    assert test["box_side_f1"] > max(0.8, test["box_level_f1"])
