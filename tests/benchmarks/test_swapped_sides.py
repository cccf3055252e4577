"""The benchmark of swapped sides runs, and only the measures of location notice them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.swapped_sides import main, phantom, swapped, systems
from tests.worked_table import worked_rows


def test_only_sides_are_swapped() -> None:
    assert swapped("Left base: left-sided RIGHT, Right bright leftward.") == (
        "Right base: right-sided LEFT, Left bright rightward."
    )
    assert [swapped(swapped(line.reference)) for line in phantom(20)] == [line.reference for line in phantom(20)]
    half = systems(phantom(20))["sides swapped in every second study"]
    assert all(line.generated == line.reference for line in half[::2])


def test_only_location_notices(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "reports.jsonl"
    rows = [{"study_id": line.study_id, "reference": line.reference, "generated": "x"} for line in phantom(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main([str(path), "--quick"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["studies"] == 60
    right, wrong = (result["cases"][name] for name in ("as written", "all sides swapped"))
    for key in ("clinical_micro_f1_13_neg", "clinical_macro_f1_14_neg", "location_level_f1"):
        assert wrong[key] == right[key]
    assert right["location_side_f1"]["value"] == 1.0
    for part in ("agreement", "f1"):
        assert wrong[f"location_side_{part}"]["high"] < wrong[f"location_side_{part}_chance"]["value"]
    assert not result["alarms"]["as written"]
    assert "THE SIDE IS NOT CLEARLY ABOVE CHANCE" in result["alarms"]["all sides swapped"][0]


def test_the_table_of_the_page_is_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    cases = list(json.loads(capsys.readouterr().out.splitlines()[-1])["cases"].values())
    header = "| reports | micro F1 (13) | macro F1 (14) | CIDEr | side agreement (chance) | side F1 (chance) |"
    rows = worked_rows("location", header)
    assert len(rows) == len(cases)
    for (_, micro, macro, cider, *places), found in zip(rows, cases, strict=True):
        assert micro == f"{found['clinical_micro_f1_13_neg']['value']:.3f}"
        assert macro == f"{found['clinical_macro_f1_14_neg']['value']:.3f}"
        assert cider == f"{found['cider']['value']:.2f}"
        for key, shown in zip(("location_side_agreement", "location_side_f1"), places, strict=True):
            score, chance = found[key], found[f"{key}_chance"]["value"]
            interval = f" [{score['low']:.3f}, {score['high']:.3f}]" if score["low"] < score["high"] else ""
            assert shown == f"{score['value']:.3f}{interval} ({chance:.3f})".replace("0.", ".")
