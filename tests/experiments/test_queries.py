"""What ``queries`` prints, and the settings it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ammrg.errors import CheckpointError
from ammrg.findings import FINDINGS
from experiments.runs.query_swaps import show
from experiments.runs.stage import Stage


def found(**changes: Any) -> dict[str, Any]:
    keys = ("auroc", "replaced", "lowest", "highest", "moved", "points")
    return {
        "findings": {name: dict.fromkeys(keys, 0.5) for name in FINDINGS},
        "mean_drop": 0.431,
        "median_drop": 0.42,
        "share_broken": 0.975,
        "others_move_at_most": 0.003,
        "not_found": [],
        "not_broken": [],
        "attention_pointing_game": {"value": 0.874},
    } | changes


def test_what_is_not_broken_is_named_by_finding(capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [("Edema", "Cardiomegaly", 0.97), ("Edema", "Pneumonia", 0.96), ("Fracture", "Edema", 0.95)]
    listed = [{"finding": i, "query": j, "auroc": auroc} for i, j, auroc in pairs]
    show(found(not_broken=listed, not_found=["Lung Lesion"]), "a run")
    said = capsys.readouterr().out
    assert "takes 0.431 off" in said
    assert "0.975 of the pairs" in said
    assert "87.4% of the cases" in said
    assert "- Edema is still found with the query of Cardiomegaly (0.970), Pneumonia (0.960)\n" in said
    assert "- Fracture is still found with the query of Edema (0.950)\n" in said
    assert "below 0.6 or undefined: Lung Lesion" in said


def test_nothing_to_judge_is_no_crash(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = dict.fromkeys(("mean_drop", "median_drop", "share_broken", "attention_pointing_game"))
    show(found(**nothing, not_found=list(FINDINGS)), "a run")
    assert "takes - off" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; it belongs beside the checkpoint: copy it"),
        (b"", "holds no data.init_args.views; copy it"),
        (b"just words", "holds no data.init_args.views"),
        (b"data: {init_args: {}}", "holds no data.init_args.views"),
        (b"data: [", "damaged, not a YAML file of settings .ParserError.; copy it"),
        (b"\xff\xfe\xfa", "damaged, not a YAML file of settings .UnicodeDecodeError.; copy it"),
    ],
)
def test_settings_that_are_missing_or_broken(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"config.yaml: {message}"):
        Stage(tmp_path).setting("data", "init_args", "views")


def test_a_setting_is_found(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("data: {init_args: {views: frontal}}")
    assert Stage(tmp_path).setting("data", "init_args", "views") == "frontal"
