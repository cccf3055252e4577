"""The baseline ``stage1_template``: a network that is below it is told so in capitals, by findings and by sides."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ammrg.commands.score import main
from ammrg.text.places import Place
from ammrg.text.template_report import template_report

NAMES = ("Pneumonia", "Consolidation", "Pneumothorax", "Pleural Effusion", "Fracture")
SWAP = {"left": "right", "right": "left"}

Found = dict[str, Place]


def study(seed: int) -> Found:
    draw = random.Random(seed)
    return {name: Place(frozenset({draw.choice(("left", "right"))})) for name in draw.sample(NAMES, 2)}


def swapped(found: Found) -> Found:
    return {name: Place(frozenset(SWAP[side] for side in place.side)) for name, place in found.items()}


def fewer(found: Found) -> Found:
    return dict(list(found.items())[:1])


def write(path: Path, truths: list[Found], texts: list[str]) -> Path:
    rows = [
        {"study_id": f"s{i:03}", "subject_id": f"p{i}", "reference": template_report(true), "generated": text}
        for i, (true, text) in enumerate(zip(truths, texts, strict=True))
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def scored(folder: Path, ours: list[Found], template: list[Found], truths: list[Found]) -> dict[str, Any]:
    reports = write(folder / "reports.jsonl", truths, [template_report(found) for found in ours])
    for name in ("stage1_template", "nearest_findings"):
        write(folder / "baselines" / f"{name}.jsonl", truths, [template_report(found) for found in template])
    main([str(reports), "--no-meteor", "--bootstrap", "100"])
    return dict(json.loads((folder / "scores.json").read_text()))


def sentence(scores: dict[str, Any], name: str = "a template of stage 1's findings") -> str:
    (found,) = [text for text in scores["sentences"] if text.startswith(f"Compared with {name}:")]
    return str(found)


TRUTHS = [study(i) for i in range(40)]


def test_a_network_below_the_template_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = scored(tmp_path, [swapped(fewer(found)) for found in TRUTHS], TRUTHS, TRUTHS)
    told = sentence(scores)
    assert "side F1 .000 against 1.000 (-1.000, 95% -1.000 to -1.000)" in told
    assert told.endswith(
        "BELOW THE TEMPLATE by clinical micro F1 (13) and CIDEr and side F1: THE NETWORK ADDS NOTHING THERE."
    )
    assert told in scores["alarms"]
    other = sentence(scores, "nearest findings")
    assert other.endswith("NOT CLEARLY ABOVE THIS BASELINE by clinical micro F1 (13) and CIDEr and side F1.")
    assert "stage1 template" in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert '"name":"a template of stage 1\'s findings"' in page
    assert "BELOW THE TEMPLATE by" in page


def test_only_what_is_below_is_named(tmp_path: Path) -> None:
    """Right findings on the wrong sides, beside a template that finds less but places it rightly."""
    told = sentence(scored(tmp_path, [swapped(found) for found in TRUTHS], [fewer(f) for f in TRUTHS], TRUTHS))
    assert "clinical micro F1 (13) 1.000 against .667" in told
    assert "BELOW THE TEMPLATE by side F1: THE NETWORK ADDS NOTHING THERE." in told
    assert "micro F1 (13):" not in told


def test_an_equal_network_is_not_clearly_above_and_a_better_one_raises_no_alarm(tmp_path: Path) -> None:
    equal = sentence(scored(tmp_path / "equal", TRUTHS, TRUTHS, TRUTHS))
    assert equal.endswith("NOT CLEARLY ABOVE THIS BASELINE by clinical micro F1 (13) and CIDEr and side F1.")
    scores = scored(tmp_path / "better", TRUTHS, [swapped(fewer(found)) for found in TRUTHS], TRUTHS)
    assert sentence(scores).endswith("95% +1.000 to +1.000).")
    assert sentence(scores) not in scores["alarms"]


def test_few_placed_references_give_no_verdict_by_side(tmp_path: Path) -> None:
    truths = [found if i < 19 else dict.fromkeys(found, Place()) for i, found in enumerate(TRUTHS)]
    assert sum(len(found) for found in truths[:19]) == 38
    told = sentence(scored(tmp_path, [swapped(found) for found in truths], truths, truths))
    assert "side F1" not in told
    assert "CIDEr" in told
