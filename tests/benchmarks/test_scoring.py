"""The benchmark of scoring runs, equals the reference scorers and says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ammrg import evaluate
from benchmarks import scoring
from benchmarks._report_pairs import write_pairs

ROOT = Path(__file__).parents[2]


def test_two_builds_take_turns(capsys: pytest.CaptureFixture[str]) -> None:
    assert scoring.main(["--quick", "--other", str(ROOT)]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    (case,) = result["cases"]
    assert (case["studies"], case["resamples"]) == (100, 50)
    assert [len(case["runs"][name]) for name in ("ours", "other", "floor")] == [1, 1, 1]
    for name in ("ours", "other"):
        assert case[name]["cpu_s"] > case["floor"]["cpu_s"] > 0
        assert case[name]["mib"] > case["floor"]["mib"] > 5
        assert case[name]["torch"] == 0
    assert case["largest_difference"] == 0  # the other build is this one
    assert case["numbers_compared"] > 1000
    targets = result["targets"]
    assert targets["runs without torch"]["met"]
    assert targets["decimals in which plain scores equal the reference scorers'"]["value"] > 9
    ratio = case["other"]["cpu_s"] / case["ours"]["cpu_s"]
    assert targets["times less CPU time than the other build"]["value"] == pytest.approx(ratio)


def test_a_command_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"(?s)ended with 1.*no such file"):
        scoring.measured(ROOT, ["ammrg", "score", str(tmp_path / "absent.jsonl")], tmp_path)


def test_pairs_fill_every_table(tmp_path: Path) -> None:
    reports = write_pairs(tmp_path, 120, memories=True)
    assert write_pairs(tmp_path / "again", 120, memories=True).read_text() == reports.read_text()
    scores = evaluate(reports, resamples=20, with_meteor=False)
    assert 0.3 < scores["full"]["clinical_micro_f1_13_neg"]["value"] < 0.95
    assert scores["boxes"]["findings"] > 50
    assert scores["recall"]["regions"]["judged"] > 50
    assert scores["copying"]["studies"] == 120
    assert scores["faithfulness"]["ours"]["absent"] is None
    assert all(scores["invented"]["ours"][side]["invented"] > 0 for side in ("references", "generated"))
    assert 0.4 < scores["full"]["location_side_agreement"]["value"] < 0.95
    assert sum(row["support"] > 0 and row["predicted"] > 0 for row in scores["findings"]["ours"]["neg"].values()) == 14


def test_differences_are_those_of_the_numbers_in_both(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    first.write_text(json.dumps({"a": {"b": [1, 2.5, "x"]}, "c": 7}))
    second.write_text(json.dumps({"a": {"b": [1, 2.0, "y"]}, "d": 9}))
    assert scoring.largest_difference(first, second) == (0.5, 2)
