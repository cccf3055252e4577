"""Location in scores.json, in the tables and in sentences."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ammrg import evaluate
from ammrg.commands.score import main
from ammrg.metrics.location import CHANCE, KEYS

FINDINGS = ("pleural effusion", "pneumothorax", "pneumonia", "consolidation")


def placed(draw: random.Random) -> list[str]:
    sides, zones = (draw.choices(words, k=2) for words in (("left", "right"), ("upper", "lower")))
    return [
        f"{side} {zone} lung {name}" for side, zone, name in zip(sides, zones, draw.sample(FINDINGS, 2), strict=True)
    ]


def swapped(text: str) -> str:
    return text.replace("left", "~").replace("right", "left").replace("~", "right")


def written(names: list[str]) -> str:
    return " ".join(f"There is a {name}." for name in names)


REFERENCES = [written(placed(random.Random(i))) for i in range(60)]
COIN = random.Random(0)
COINS = [
    " ".join(COIN.choice(("left", "right")) if word in ("left", "right") else word for word in text.split())
    for text in REFERENCES
]
UNPLACED = ["There is a pleural effusion."] * 60


def scores(generated: list[str], references: list[str] = REFERENCES, **settings: Any) -> dict[str, Any]:
    return evaluate(generated, references=references, resamples=100, with_meteor=False, **settings)


def of(found: dict[str, Any], aspect: str) -> str:
    """The sentence on an aspect."""
    (sentence,) = (each for each in found["sentences"] if f" {aspect} " in each and "Compared" not in each)
    return str(sentence)


def test_the_right_places_are_above_chance() -> None:
    found = scores(REFERENCES)
    for key in KEYS:
        row = found["full"][key]
        assert (row["value"], row["low"], row["high"]) == (1.0, 1.0, 1.0)
        assert found["full"][f"{key}{CHANCE}"]["high"] < 0.8
    assert found["location"]["ours"]["side"] | {"above_chance": {}} == {
        "pairs": 120,
        "same": 120,
        "placed": 120,
        "covered": 1.0,
        "varies": True,
        "above_chance": {},
    }
    assert found["location"]["ours"]["side"]["above_chance"]["f1"]["low"] > 0
    assert "NOT CLEARLY ABOVE CHANCE" not in of(found, "side") + of(found, "level")
    assert set(found["location"]) == {"ours", "guards/reports_exchanged"}


def test_a_coin_is_called_out() -> None:
    found = scores(COINS)
    assert of(found, "side").endswith("THE SIDE IS NOT CLEARLY ABOVE CHANCE by agreement and F1.")
    assert of(found, "side") in found["alarms"]
    assert "NOT CLEARLY ABOVE CHANCE" not in of(found, "level")


def test_clinical_scores_cannot_see_that_all_sides_are_swapped() -> None:
    right, wrong = scores(REFERENCES), scores([swapped(text) for text in REFERENCES])
    for key in ("clinical_micro_f1_13_neg", "location_level_f1"):
        assert wrong["full"][key] == right["full"][key]
    assert wrong["full"]["location_side_f1"]["value"] == 0.0
    assert "THE SIDE IS NOT CLEARLY ABOVE CHANCE" in of(wrong, "side")


def test_another_file_is_compared_by_side_too(tmp_path: Path) -> None:
    paths = []
    for name, texts in (("reports", [swapped(text) for text in REFERENCES]), ("other", REFERENCES)):
        paths.append(tmp_path / f"{name}.jsonl")
        rows = [
            {"study_id": f"s{i}", "generated": text, "reference": reference}
            for i, (text, reference) in enumerate(zip(texts, REFERENCES, strict=True))
        ]
        paths[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = evaluate(paths[0], against=[paths[1]], resamples=100, with_meteor=False)
    (told,) = (text for text in found["sentences"] if text.startswith("Against other"))
    assert "side F1 .000 against 1.000 (-1.000" in told
    assert told.endswith("NO SIGNIFICANT DIFFERENCE by clinical micro F1 (13). BELOW IT by CIDEr and side F1.")


@pytest.mark.parametrize("resamples", [0, 50])
def test_reports_without_a_place_have_no_agreement_and_say_so(resamples: int) -> None:
    found = evaluate(UNPLACED, references=REFERENCES, resamples=resamples, with_meteor=False)
    json.dumps(found, allow_nan=False)
    assert found["full"]["location_side_agreement"] == {"value": None, "low": None, "high": None}
    assert found["full"]["location_side_f1"]["value"] == 0.0
    assert "No finding has a side in both texts (n = 0)" in of(found, "side")
    assert ("THE SIDE IS NOT CLEARLY ABOVE CHANCE by F1." in of(found, "side")) == (resamples > 0)


def test_references_without_a_place_have_no_location() -> None:
    found = scores(REFERENCES, UNPLACED)
    assert found["full"]["location_side_agreement"]["value"] is None
    assert of(found, "side") == "The references name no side of a finding (n = 0), so location is not measured by it."
    assert of(found, "side") not in found["alarms"]
    nowhere = scores(UNPLACED, UNPLACED)
    assert {row["value"] for key, row in nowhere["full"].items() if key.startswith("location")} == {None}


def test_references_that_always_say_the_same_give_no_verdict() -> None:
    same = [text.replace("right", "left") for text in REFERENCES]
    found = scores(same, same)
    assert of(found, "side").endswith("The references give each finding one side only, so there is no verdict.")
    assert "THE SIDE IS NOT CLEARLY ABOVE CHANCE by agreement and F1." in of(scores(same, REFERENCES), "side")


def test_few_pairs_have_no_verdict() -> None:
    found = scores(COINS[:15], REFERENCES[:15])
    assert "Fewer than 40 findings, so there is no verdict." in of(found, "side")
    assert "CHANCE" not in of(found, "side")


def write(path: Path, generated: list[str]) -> Path:
    rows = [
        {"study_id": f"s{i}", "subject_id": f"p{i}", "reference": reference, "generated": text}
        for i, (reference, text) in enumerate(zip(REFERENCES, generated, strict=True))
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_another_file_is_compared_by_location(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = write(tmp_path / "reports.jsonl", REFERENCES)
    write(tmp_path / "baselines/coin.jsonl", COINS)
    others = [write(tmp_path / f"{name}.jsonl", texts) for name, texts in (("coins", COINS), ("unplaced", UNPLACED))]
    main([str(ours), "--no-meteor", "--bootstrap", "50", "--against", *map(str, others)])
    found = json.loads((tmp_path / "scores.json").read_text())
    row = found["comparisons"]["coins"]["full"]["location_side_f1"]
    assert row["value"] == pytest.approx(1 - found["against"]["coins"]["full"]["location_side_f1"]["value"])
    assert row["low"] > 0
    assert row["p_value"] == pytest.approx(1 / 51)
    compared = found["comparisons"]["unplaced"]["full"]
    assert "location_side_f1" in compared
    assert "location_side_agreement" not in compared
    assert not [key for key in compared if key.endswith(CHANCE)]
    shown = capsys.readouterr().out
    for words in ("location, by the rule-based labeler", "coin ", "against coins", "side F1", "95% from"):
        assert words in shown


def test_scores_without_location_are_made_again(tmp_path: Path) -> None:
    words = [str(write(tmp_path / "reports.jsonl", COINS)), "--no-meteor", "--bootstrap", "20", "--quiet", "--no-page"]
    main(words)
    kept = json.loads((tmp_path / "scores.json").read_text())
    (tmp_path / "scores.json").write_text(json.dumps({key: value for key, value in kept.items() if key != "location"}))
    main([*words, "--show"])
    assert json.loads((tmp_path / "scores.json").read_text()) == kept
