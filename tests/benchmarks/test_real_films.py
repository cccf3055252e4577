"""The scores of a run on real films: what is gathered of its folders, and the tables written from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import _real_film_tables, real_films

KEYS = ("bleu_4", "cider", "clinical_micro_f1_13_neg", "location_side_f1", "location_level_f1")
TEXTS = ("The lungs are clear.", "The lungs are clear.", "Small left pleural effusion.", "Left pleural effusion.")


def row(value: float) -> dict[str, dict[str, float]]:
    return {key: {"value": value, "low": value - 0.1, "high": value + 0.1} for key in KEYS}


def scored(folder: Path, value: float, comparisons: dict[str, Any] | None = None, others: bool = False) -> None:
    """Reports whose scores are all ``value``."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = [name.partition("/")[::2] for _, name in _real_film_tables.SYSTEMS.values() if others and "/" in name]
    scores: dict[str, Any] = {
        "meta": {"protocols": {"full": {}}},
        "full": row(value) | {"location_side_f1_chance": {"value": 0.25}},
        "differences": {"baselines": {"nearest_image": row(0.2)} if others else {}, "guards": {}},
        "comparisons": comparisons or {},
    }
    for group in ("baselines", "guards"):
        scores[group] = {name: {"full": row(value / 2)} for of, name in shown if of == group}
    (folder / "scores.json").write_text(json.dumps(scores))
    lines = [
        {"study_id": str(i), "subject_id": str(i), "reference": text, "generated": text, "split": "test"}
        for i, text in enumerate(TEXTS)
    ]
    (folder / "reports.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a reward phase, and its validation studies at two settings."""
    folder = tmp_path / "first"
    gap = {"first/reports": {"full": row(0.05)}}
    scored(folder, 0.4)
    scored(folder / "reward", 0.6, gap, others=True)
    scored(folder / "val", 0.3)
    for name in ("reward", "reward_cider", "reward_clinical_f1", "reward_side_f1"):
        scored(folder / name / "val", 0.5, gap)
    for number, seed in enumerate(("reward_seed1", "reward_seed2")):
        scored(folder / seed, 0.63 - number * 0.06)
        scored(folder / seed / "val", 0.53 - number * 0.06, gap)
    scored(folder / "reward" / "val" / "operating_points" / "0.25", 0.7, gap)
    (folder / "stage1").mkdir()
    auroc = {split: {"auroc_macro": {"value": 0.7}} for split in ("val", "test")}
    (folder / "stage1" / "scores.json").write_text(json.dumps(auroc))
    return folder


def gathered(run: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert real_films.main([str(run)]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    (out / "real_films.json").write_text(line)
    found: list[dict[str, Any]] = json.loads(line)["cases"]
    return found


def test_what_is_gathered(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = gathered(run, tmp_path, capsys)
    ours = [case for case in cases if case.get("system") == "ours"]
    seeds = ("reward_seed1", "reward_seed2")
    assert [(case["split"], case["phase"], case.get("setting")) for case in ours] == [
        ("test", "supervised", None),
        ("test", "reward", None),
        *(("test", phase, None) for phase in seeds),
        ("val", "supervised", None),
        *(("val", phase, None) for phase in ("reward", "reward_cider", "reward_clinical_f1")),
        *(("val", phase, None) for phase in (*seeds, "reward_side_f1")),
        ("val", "reward", "0.25"),
    ]
    assert [case["cider"]["value"] for case in ours] == pytest.approx(
        [0.4, 0.6, 0.63, 0.57, 0.3, *[0.5] * 3, 0.53, 0.47, 0.5, 0.7]
    )
    assert {name: ours[0][name] for name in ("n", "distinct_texts", "commonest_text", "distinct_findings")} == {
        "n": 4,
        "distinct_texts": 3,
        "commonest_text": 2,
        "distinct_findings": 2,
    }
    assert [case["minus"] for case in cases if "minus" in case] == [
        "baselines/nearest_image",
        *["supervised"] * 7,
        "balanced",
    ]


def test_its_tables(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gathered(run, tmp_path, capsys)
    shown = _real_film_tables.reports(tmp_path).splitlines()
    assert shown[2] == "| **ours, trained by rewards** |" + " .600 [.500, .700] |" * 5
    assert shown[4] == "| template of stage 1's findings and places |" + " .300 |" * 5
    assert shown[-1] == "| chance of the place | - | - | - | .250 | - |"
    assert _real_film_tables.differences(tmp_path).splitlines()[2:] == [
        "| supervised |" + (" +.050 [-.050, +.150] |" * 2 + " - |") + " +.050 [-.050, +.150] |" * 2,
        "| nearest by image |" + (" +.200 [+.100, +.300] |" * 2 + " - |") + " +.200 [+.100, +.300] |" * 2,
    ]
    rewards = _real_film_tables.rewards(tmp_path).splitlines()
    assert rewards[2] == "| none: supervised |" + " .300 |" * 5 + " - | 3; 2; 2 of 2; 0 of 0 |"
    assert rewards[3] == "| CIDEr |" + " .500 +.050 [-.050, +.150] |" * 5 + " - - | 3; 2; 2 of 2; 0 of 0 |"
    seeds = _real_film_tables.seeds(tmp_path).splitlines()
    assert [line.split("|")[1:3] for line in seeds[2:]] == [
        [" test, seed 0 ", " .600 "],
        [" test, seed 1 ", " .630 "],
        [" test, seed 2 ", " .570 "],
        [" test, mean ", " .600 "],
        [" test, before ", " .400 "],
        [" val, seed 0 ", " .500 "],
        [" val, seed 1 ", " .530 "],
        [" val, seed 2 ", " .470 "],
        [" val, mean ", " .500 "],
        [" val, before ", " .300 "],
    ]
    dial = _real_film_tables.dial(tmp_path).splitlines()
    assert [line.split("|")[1].strip() for line in dial[2:]] == ["0.25", "0.5"]
    assert dial[2].endswith("| .700 | .700 | .700 | - |")


def test_doubts_are_counted_by_finding() -> None:
    assert real_films.doubted(["Possible pneumonia. Possible small effusion.", "No pneumothorax. Left effusion."]) == 2


def test_a_run_without_a_reward_phase_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scored(tmp_path, 0.4)
    with pytest.raises(SystemExit):
        real_films.main([str(tmp_path)])
    assert "reward/scores.json: not there; docs/real_films.md has the commands" in capsys.readouterr().err
