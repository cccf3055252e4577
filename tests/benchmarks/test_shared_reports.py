from __future__ import annotations

import json

import pytest

from benchmarks import shared_reports


def test_both_rules_are_tried_on_the_same_studies(capsys: pytest.CaptureFixture[str]) -> None:
    assert shared_reports.main(["--quick"]) == 0
    cases = json.loads(capsys.readouterr().out.splitlines()[-1])["cases"]
    assert [case["rule"] for case in cases] == ["patient", "shared"]
    assert cases[0]["train_share_of_another"] == cases[1]["train_share_of_another"] > 0.1
    assert cases[0]["test_loss"] != cases[1]["test_loss"]
