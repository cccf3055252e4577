"""What a run's reports say at settings of the dial: gathered, and written as a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ammrg.findings import FINDINGS
from ammrg.operating_points import SETTINGS, FindingCurve, OperatingCurve
from benchmarks import _dial_table, dial


def scored(folder: Path, value: float) -> None:
    folder.mkdir(parents=True)
    row = {key: {"value": value, "low": value - 0.1, "high": value + 0.1} for key in _dial_table.KEYS}
    scores = {"meta": {"protocols": {"full": {}}}, "full": row, "baselines": {}, "guards": {}, "differences": {}}
    (folder / "scores.json").write_text(json.dumps(scores))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "s0"
    scored(folder, 0.5)
    for setting in ("1", "0.25"):
        scored(folder / "operating_points" / setting, 0.3 + float(setting) / 10)
    recall, precision = [1 - each / 2 for each in SETTINGS], [0.5 + each / 2 for each in SETTINGS]
    same = [0.5] * len(SETTINGS)
    findings = dict.fromkeys(FINDINGS, FindingCurve(same, same, 5, same, same))
    curve = OperatingCurve(10, same, recall, precision, findings)
    (folder / "operating_curve.json").write_text(json.dumps(curve.as_json()))
    return folder


def test_the_settings_in_their_order_beside_stage_1(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dial.main([str(run)]) == 0
    (tmp_path / "dial.json").write_text(capsys.readouterr().out.splitlines()[-1])
    head, _, *rows = _dial_table.phantom(tmp_path).splitlines()
    assert head.startswith("| setting | stage 1 on validation: recall, precision | clinical micro recall (13) |")
    assert [row.split(" | ")[:4] for row in rows] == [
        ["| 0.25", ".875, .625", ".325 [.225, .425]", ".325 [.225, .425]"],
        ["| 0.5", ".750, .750", ".500 [.400, .600]", ".500 [.400, .600]"],
        ["| 1", ".500, 1.000", ".400 [.300, .500]", ".400 [.300, .500]"],
    ]


def test_a_run_without_a_curve_is_an_error(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "operating_curve.json").unlink()
    with pytest.raises(SystemExit):
        dial.main([str(run)])
    assert "operating_curve.json: not there; write the run's reports first (make reports)" in capsys.readouterr().err


def test_a_curve_that_counts_no_findings_together_is_an_error(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "operating_curve.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "recall": None, "precision": None}))
    with pytest.raises(SystemExit):
        dial.main([str(run)])
    assert "operating_curve.json: has no recall and precision of all findings together" in capsys.readouterr().err
