"""Whether a run's queries mean their findings: gathered, and written as a table."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import _query_table, queries


@pytest.fixture
def run(tmp_path: Path) -> Path:
    share = {"value": 0.5, "low": 0.25, "high": 0.75}
    swaps = {
        "studies": 12,
        "findings": {"Edema": {"auroc": 0.75}, "Fracture": {"auroc": 1.0}},
        "mean_drop": 0.25,
        "share_broken": 0.9,
        "others_move_at_most": 0.001,
        "not_broken": [],
    }
    scores = {"pointing_game_by_method": dict.fromkeys(_query_table.METHODS, share), "pointing_game_mean_map": share}
    folder = tmp_path / "s0" / "stage1"
    folder.mkdir(parents=True)
    (folder / "queries_test.json").write_text(json.dumps(swaps))
    (folder / "scores.json").write_text(json.dumps({"test": scores}))
    return tmp_path / "s0"


def test_the_table(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert queries.main([str(run)]) == 0
    (tmp_path / "queries.json").write_text(capsys.readouterr().out.splitlines()[-1])
    head, _, *rows = _query_table.queries(tmp_path).splitlines()
    assert head == "| 12 test studies | s0 |"
    assert rows[0] == "| peak on the finding: attention of the query | .500 [.250, .750] |"
    assert [row.split(" | ")[1] for row in rows[-4:]] == [".875 |", ".250 |", ".900 |", ".001 |"]


def test_a_run_whose_queries_were_not_exchanged_is_an_error(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "stage1" / "queries_test.json").unlink()
    with pytest.raises(SystemExit):
        queries.main([str(run)])
    assert "queries_test.json: not there; write it first (python -m experiments queries" in capsys.readouterr().err
