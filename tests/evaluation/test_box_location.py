"""Boxes in reports.jsonl: read, checked, shared by all files, scored, shown; and what references themselves reach."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ammrg.commands.score import main
from ammrg.errors import ScoringError
from ammrg.evaluation.page.writing import NO_FILMS, page_data
from ammrg.evaluation.predictions import read_systems
from ammrg.evaluation.scoring import score_systems

CORNERS = {"right": [0.1, 0.1, 0.3, 0.2], "left": [0.6, 0.1, 0.9, 0.2]}
DRAW = random.Random(0)
SIDES = [DRAW.choice(("left", "right")) for _ in range(60)]
TOLD = [f"There is a {side} upper lobe pneumonia." for side in SIDES]
SILENT = ["There is a pneumonia."] * 60
WRONG = [text.replace("left", "~").replace("right", "left").replace("~", "right") for text in TOLD]


def box(side: str, **changed: Any) -> dict[str, Any]:
    return {"finding": "Pneumonia", "box": CORNERS[side], "projection": "frontal", **changed}


def write(path: Path, generated: list[str], references: list[str] = TOLD, boxes: Any = "each") -> Path:
    """A predictions file; each study has the box of its side, or all have ``boxes``, or none (None)."""
    rows = [
        {"study_id": f"s{i}", "subject_id": f"p{i}", "reference": reference, "generated": text}
        | ({} if boxes is None else {"boxes": [box(SIDES[i])] if boxes == "each" else boxes})
        for i, (reference, text) in enumerate(zip(references, generated, strict=True))
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def scores(path: Path, **settings: Any) -> dict[str, Any]:
    return score_systems(read_systems(path), protocols=("full",), resamples=100, with_meteor=False, **settings)


def said(found: dict[str, Any]) -> list[str]:
    return [text for text in found["sentences"] if text.startswith("Against the boxes")]


def test_boxes_know_a_place_that_the_reference_leaves_out(tmp_path: Path) -> None:
    found = scores(write(tmp_path / "reports.jsonl", TOLD, SILENT))
    assert found["full"]["location_side_agreement"]["value"] is None
    assert found["full"]["box_side_f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["full"]["box_side_f1_chance"]["high"] < 0.7
    side = found["boxes"]["side"]
    assert found["boxes"]["findings"] == side["placed"] == 60
    assert found["boxes"]["unknown"] == 0
    assert side["references"]["value"] == 0.0
    assert side["above_chance"]["low"] > 0.3
    assert said(found)[0].startswith("Against the boxes of 60 findings: F1 of the side 1.000, chance .4")
    assert said(found)[1].endswith("Each finding is always in one place, so there is no verdict.")
    assert not any("CHANCE by the boxes" in text for text in found["alarms"])


def test_a_wrong_side_is_called_out(tmp_path: Path) -> None:
    found = scores(write(tmp_path / "reports.jsonl", WRONG))
    assert found["full"]["box_side_f1"]["value"] == 0.0
    assert found["boxes"]["side"]["references"]["value"] == 1.0
    assert said(found)[0].endswith("THE SIDE IS NOT CLEARLY ABOVE CHANCE by the boxes.")
    assert said(found)[0] in found["alarms"]


def test_few_boxes_have_no_verdict(tmp_path: Path) -> None:
    path = write(tmp_path / "reports.jsonl", WRONG)
    path.write_text("\n".join(path.read_text().splitlines()[:30]))
    assert said(scores(path))[0].endswith("Fewer than 40, so no verdict.")


def test_files_without_boxes_have_no_such_measure(tmp_path: Path) -> None:
    found = scores(write(tmp_path / "reports.jsonl", TOLD, boxes=None))
    assert found["boxes"] is None
    assert not [key for key in found["full"] if key.startswith("box_")]
    assert said(found) == []


def test_all_files_are_judged_by_the_boxes_of_the_first_that_has_any(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = write(tmp_path / "reports.jsonl", TOLD)
    write(tmp_path / "baselines/silent.jsonl", SILENT, boxes=None)
    other = write(tmp_path / "other.jsonl", WRONG, boxes=[box("left")])
    assert main([str(ours), "--no-meteor", "--bootstrap", "50", "--against", str(other)]) == 0
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found["against"]["other"]["full"]["box_side_f1"]["value"] == 0.0
    assert found["baselines"]["silent"]["full"]["box_side_f1"]["value"] == 0.0
    assert found["guards"]["reports_exchanged"]["full"]["box_side_f1"]["value"] < 0.8
    compared = found["comparisons"]["other"]["full"]["box_side_f1"]
    assert (compared["value"], compared["p_value"]) == (1.0, pytest.approx(1 / 51))
    assert "box_side_f1_chance" not in found["comparisons"]["other"]["full"]
    shown = capsys.readouterr().out
    for words in ("location against the boxes of 60 findings; left out: 0", "references", "side F1 by boxes"):
        assert words in shown
    columns = {column["key"] for column in page_data(ours, read_systems(ours)[0].lines, found, NO_FILMS)["columns"]}
    assert {"box_side_f1", "box_level_f1"} <= columns


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ("left", "'boxes' must be a list of objects with finding, box and projection"),
        ([box("left", finding="Mass")], "names the finding 'Mass'; it must be one of the 14 findings"),
        ([box("left", finding=3)], "field 'finding' is 3; it must be text"),
        ([box("left", projection=None)], "field 'projection' is None; it must be text"),
        ([box("left", projection="PA")], "the projection 'PA'; it must be one of frontal, lateral, unknown"),
        ([box("left", box=[0.1, 0.2, 0.3])], r"has the box \[0.1, 0.2, 0.3\]; give x0, y0, x1, y1"),
        ([box("left", box=[0.5, 0.1, 0.4, 0.2])], "0 <= x0 < x1 <= 1"),
        ([box("left", box=[1, 1, 40, 50])], "as shares of the film"),
        ([box("left", box="left")], "has the box 'left'"),
    ],
)
def test_boxes_that_cannot_be_read_are_errors(tmp_path: Path, boxes: Any, message: str) -> None:
    path = write(tmp_path / "reports.jsonl", TOLD, boxes=boxes)
    with pytest.raises(ScoringError, match=message) as error:
        read_systems(path)
    assert f"{path}, line 1: field" in str(error.value)
