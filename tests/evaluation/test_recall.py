"""The folder ``recalled/``: read, checked, scored beside its baselines, in sentences, tables and on the page."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ammrg import evaluate
from ammrg.commands.score import main
from ammrg.errors import ScoringError
from ammrg.evaluation.page.writing import NO_FILMS, page_data
from ammrg.evaluation.predictions import read_systems

DRAW = random.Random(0)
COUNT = 60
PLACES = [(DRAW.choice(("left", "right")), DRAW.choice(("upper", "lower"))) for _ in range(COUNT)]
REFERENCES = [f"There is a {side} {level} lobe pneumonia." for side, level in PLACES]
FINDING = "Pneumonia"


def region(pattern: int, place: tuple[str, str] | None, finding: str = FINDING) -> dict[str, Any]:
    words = place and {"side": [place[0]], "level": [place[1]]}
    return {"pattern": pattern, "study_id": "t", "finding": finding, "box": None, "place": words, "weight": 0.5}


def report(pattern: int, text: str) -> dict[str, Any]:
    return {"pattern": pattern, "study_id": "t", "text": text, "weight": 0.5, "influence": None}


def own(i: int) -> dict[str, Any]:
    """A memory that finds the right place, with patterns of its own for each study."""
    return {"regions": {FINDING: [region(i, PLACES[i])]}, "reports": [report(i, REFERENCES[i])]}


def one_for_all(i: int) -> dict[str, Any]:
    """A memory that always brings the same."""
    return {
        "regions": {FINDING: [region(7, ("left", "upper"))]},
        "reports": [report(7, "There is a left upper lobe pneumonia.")],
    }


def write(folder: Path, **recalled: Callable[[int], dict[str, Any]]) -> Path:
    """A run's reports, which are its references, with the files of what it recalled."""
    rows = [
        {"study_id": f"s{i:02}", "subject_id": f"p{i}", "reference": text, "generated": text}
        for i, text in enumerate(REFERENCES)
    ]
    (folder / "reports.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recalled").mkdir(exist_ok=True)
    for name, of in recalled.items():
        lines = [json.dumps({"study_id": f"s{i:02}", **of(i)}) + "\n" for i in range(COUNT)]
        DRAW.shuffle(lines)  # the order of lines does not matter
        (folder / "recalled" / f"{name}.jsonl").write_text("".join(lines))
    return folder / "reports.jsonl"


def scores(reports: Path, **settings: Any) -> dict[str, Any]:
    return evaluate(reports, with_meteor=False, **{"resamples": 200, **settings})


def said(found: dict[str, Any]) -> list[str]:
    return [text for text in found["sentences"] if "recalled first" in text or "IS RECALLED" in text]


def test_a_memory_with_a_place_for_each_film_is_above_one_for_all(tmp_path: Path) -> None:
    found = scores(write(tmp_path, own=own, random=one_for_all))
    json.dumps(found, allow_nan=False)
    share = sum(place == ("left", "upper") for place in PLACES) / COUNT
    on_left = sum(side == "left" for side, _ in PLACES) / COUNT
    for kind, right in (("regions", share), ("reports", on_left)):
        ours = found["recall"][kind]
        assert (ours["queries"], ours["judged"], ours["distinct"], ours["most_first"]) == (COUNT, COUNT, COUNT, 1)
        assert ours["precision_at_1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
        assert ours["distinct_first"]["value"] == 1.0
        other = ours["baselines"]["random"]
        assert (other["distinct"], other["most_first"], other["top_share"]["value"]) == (1, COUNT, 1.0)
        assert other["precision_at_5"]["value"] == pytest.approx(right)
        assert other["difference"]["precision_at_5"]["value"] == pytest.approx(1 - right)
        assert other["difference"]["precision_at_5"]["low"] > 0
    assert not [text for text in said(found) if text in found["alarms"]]
    assert said(found)[0] == (
        "Different regions recalled first: 60, for 60 pairs of study and finding; the commonest for 1 (.017). "
        "Judged for 60: 1.000 of the first regions, and 1.000 of the first five, show the finding where the reference "
        "has it."
    )


def test_one_pattern_for_all_and_no_better_than_chance_are_called_out(tmp_path: Path) -> None:
    found = scores(write(tmp_path, own=one_for_all, nearest_image=own, random=one_for_all))
    for text, one in zip(said(found), ("REGION", "REPORT"), strict=True):
        assert text in found["alarms"]
        assert text.endswith(
            f"ONE {one} COMES FIRST IN MORE THAN HALF. {one}S ARE NOT ABOVE THE NEAREST BY IMAGE by precision at 1 and "
            f"5. {one}S ARE NOT ABOVE RANDOM PATTERNS by precision at 1 and 5."
        )
    assert found["recall"]["regions"]["baselines"]["random"]["difference"]["precision_at_1"]["value"] == 0.0


def test_few_studies_have_no_verdict(tmp_path: Path) -> None:
    reports = write(tmp_path, own=one_for_all, random=own)
    for path in (reports, *(tmp_path / "recalled").glob("*.jsonl")):
        path.write_text("".join(sorted(path.read_text().splitlines(keepends=True))[:30]))
    assert "Fewer than 40, so no comparison." in said(scores(reports))[0]
    assert not any(text in scores(reports)["alarms"] for text in said(scores(reports)))


def test_pairs_that_cannot_be_judged_are_counted(tmp_path: Path) -> None:
    def further(i: int) -> dict[str, Any]:
        regions = {FINDING: [region(i, PLACES[i])], "Fracture": [region(1, PLACES[i], "Fracture")]}
        return {"regions": regions if i else {"Edema": []}, "reports": []}

    reports = write(tmp_path, own=further, random=lambda i: further(i) | {"regions": {}})
    lines = [json.loads(line) for line in reports.read_text().splitlines()]
    lines[1]["reference"] = "There is a pneumonia."
    lines[2]["reference"] = "There is a pneumonia. There is a left rib fracture."
    lines[2]["boxes"] = [{"finding": FINDING, "box": [0.1, 0.1, 0.2, 0.2], "projection": "frontal"}]
    reports.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = scores(reports)
    regions = found["recall"]["regions"]
    assert found["recall"]["reports"] is None
    # Study 0 has an edema that its reference does not affirm; the others have a fracture, affirmed in study 2 alone.
    assert regions["not_affirmed"] == 1 + 58
    assert regions["no_place"] == 1
    assert regions["judged"] == 59
    assert regions["queries"] == 2 * 59
    # The box, not the text, places the pneumonia of study 2: in the right upper lung.
    right = 57 + (PLACES[2] == ("right", "upper")) + (PLACES[2][0] == "left")
    assert regions["precision_at_1"]["value"] == pytest.approx(right / 59)
    random_ = regions["baselines"]["random"]
    assert (random_["queries"], random_["precision_at_1"]["value"]) == (0, 0.0)
    assert "distinct_first" not in random_["difference"]


def test_without_resamples_there_are_no_intervals(tmp_path: Path) -> None:
    found = scores(write(tmp_path, own=one_for_all, random=own), resamples=0)
    assert found["recall"]["regions"]["top_share"] == {"value": 1.0, "low": None, "high": None}
    assert found["recall"]["regions"]["baselines"]["random"]["difference"] == {}
    assert "NOT ABOVE" not in said(found)[0]


def test_reports_without_the_folder_have_no_such_section(tmp_path: Path) -> None:
    found = scores(write(tmp_path))
    assert found["recall"] is None
    assert said(found) == []
    nothing = {"regions": None, "reports": None, "mattered": None, "exchange_cost": None}
    empty = scores(write(tmp_path, own=lambda i: {}))
    assert empty["recall"] == nothing
    assert said(empty) == [
        "NO REGION IS RECALLED for any of the 60 studies: stage 1 finds nothing, or the memory is off or empty.",
        "NO REPORT IS RECALLED for any of the 60 studies: the memory is off or empty.",
    ]
    assert set(said(empty)) <= set(empty["alarms"])


def test_what_another_patients_memories_cost_is_there_if_it_was_measured(tmp_path: Path) -> None:
    reports = write(tmp_path, own=own)
    assert scores(reports)["recall"]["exchange_cost"] is None
    rows = [json.loads(line) for line in reports.read_text().splitlines()]
    other = [text.replace("left", "right") for text in REFERENCES]
    lines = [json.dumps(row | {"generated": text}) + "\n" for row, text in zip(rows, other, strict=True)]
    (tmp_path / "guards").mkdir()
    (tmp_path / "guards/memory_shuffled.jsonl").write_text("".join(lines))
    found = scores(reports)
    cost = found["recall"]["exchange_cost"]
    assert set(cost) == {"location_side_f1", "clinical_micro_f1_13_neg", "cider"}
    for key, row in cost.items():
        there = found["guards"]["memory_shuffled"]["full"][key]["value"]
        assert row["value"] == pytest.approx(found["full"][key]["value"] - there)
    assert cost["clinical_micro_f1_13_neg"]["value"] == 0.0
    assert cost["location_side_f1"]["low"] > 0


def test_a_memory_that_brings_nothing_is_named_beside_one_that_does(tmp_path: Path) -> None:
    found = scores(write(tmp_path, own=lambda i: own(i) | {"reports": []}, random=lambda i: {"regions": {}}))
    regions, reports = said(found)
    assert regions.startswith("Different regions recalled first: 60")
    assert reports.startswith("NO REPORT IS RECALLED for any of the 60 studies")


def test_tables_and_page_show_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reports = write(tmp_path, own=own, filtered=one_for_all, mine=one_for_all)
    words = [str(reports), "--no-meteor", "--bootstrap", "50"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    for text in ("what the memories recall", "  filtered ", "commonest", "ours minus it", "-1.000)"):
        assert text in shown
    found = json.loads((tmp_path / "scores.json").read_text())
    table = page_data(reports, read_systems(reports)[0].lines, found, NO_FILMS)["recall"]
    assert [row[0] for row in table["rows"]] == ["regions", "filtered", "mine", "reports", "filtered", "mine"]
    assert {len(row) for row in table["rows"]} == {len(table["columns"])}
    assert table["rows"][0][:2] == ["regions", "60"]
    assert table["rows"][0][2].startswith("1.000 (.9")
    assert table["note"].startswith("Regions are not judged for 0 findings")
    # Scores are made again when what was recalled has changed.
    kept = (tmp_path / "scores.json").read_text()
    assert main([*words, "--show", "--quiet"]) == 0
    assert (tmp_path / "scores.json").read_text() == kept
    write(tmp_path, own=one_for_all)
    assert main([*words, "--show", "--quiet"]) == 0
    assert json.loads((tmp_path / "scores.json").read_text())["recall"]["regions"]["distinct"] == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"regions": [1]}, "field 'regions' must be an object whose keys are abnormal findings"),
        ({"regions": {"No Finding": []}}, "field 'regions' must be an object whose keys are abnormal findings"),
        ({"regions": {FINDING: {"pattern": 1}}}, "regions of Pneumonia must be a list of objects with 'pattern'"),
        ({"regions": {FINDING: [{"pattern": "1"}]}}, "regions of Pneumonia must be a list of objects with 'pattern'"),
        ({"regions": {FINDING: [region(1, ("up", "left"))]}}, "field 'place' is .* it must be null or have lists of"),
        ({"regions": {FINDING: [{"pattern": 1, "place": "left"}]}}, "field 'place' is 'left'"),
        ({"regions": {FINDING: [{"pattern": 1, "place": {"side": [[]], "level": []}}]}}, "field 'place' is"),
        ({"reports": [{"pattern": 1, "text": None}]}, "field 'text' is None; it must be text"),
        ({"study_id": None}, r"field 'study_id' has no value \(null, None\); every study needs one"),
    ],
)
def test_lines_that_cannot_be_read_are_errors(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    reports = write(tmp_path, own=lambda i: own(i) | (changed if i == 3 else {}))
    with pytest.raises(ScoringError, match=message) as error:
        scores(reports)
    assert "own.jsonl, line " in str(error.value)


def test_files_that_do_not_belong_together_are_errors(tmp_path: Path) -> None:
    reports = write(tmp_path, random=own)
    with pytest.raises(ScoringError, match=r"recalled: has random\.jsonl but no own\.jsonl"):
        scores(reports)
    write(tmp_path, own=own, random=lambda i: {"regions": {"Edema": []}})
    with pytest.raises(ScoringError, match=r"random\.jsonl: study s00 has regions for Edema, but not in own\.jsonl"):
        scores(reports)
    path = tmp_path / "recalled" / "own.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[0]]))
    with pytest.raises(ScoringError, match="occurs twice, first in line 1; keep one"):
        scores(reports)
    path.write_text("".join(lines[1:]))
    with pytest.raises(ScoringError, match=r"own\.jsonl: lacks studies, compared with the reports: 1"):
        scores(reports)
    path.write_text("".join([*lines, json.dumps({"study_id": "other"})]))
    with pytest.raises(ScoringError, match=r"own\.jsonl: has extra studies, .*: 1 \(first: other\)"):
        scores(reports)


def measured(share: float) -> Callable[[int], dict[str, Any]]:
    """The first studies, so large a share of them, have a report above the threshold; regions are below theirs."""

    def of(i: int) -> dict[str, Any]:
        found = own(i)
        found["regions"][FINDING][0]["influence"] = 0.4
        found["reports"][0]["influence"] = 0.31 if i < share * COUNT else -0.5
        return found

    return of


def limits(folder: Path, chance: float) -> None:
    named = {"regions": 0.4, "reports": 0.3, "studies": 100, "chance": chance}
    (folder / "reports.meta.json").write_text(json.dumps({"dataset": "phantom", "influence_threshold": named}))


def test_the_share_of_reports_for_which_a_memory_mattered(tmp_path: Path) -> None:
    reports = write(tmp_path, own=measured(0.5))
    assert scores(reports)["recall"]["mattered"] is None  # no threshold is known
    for chance, alarm in ((0.1, False), (0.45, True)):
        limits(tmp_path, chance)
        found = scores(reports)
        mattered = found["recall"]["mattered"]
        assert (mattered["value"], mattered["studies"], mattered["chance"]) == (0.5, COUNT // 2, chance)
        assert 0.3 < mattered["low"] < 0.45 < 0.55 < mattered["high"] < 0.7
        assert mattered["influence_threshold"] == {"regions": 0.4, "reports": 0.3, "studies": 100}
        (sentence,) = [text for text in found["sentences"] if "A recalled case bears" in text]
        assert f"on {COUNT // 2} of {COUNT} reports (.500 [" in sentence
        assert sentence.endswith("THE MEMORIES MATTER NO MORE THAN RANDOM CASES.") is alarm
        assert (sentence in found["alarms"]) is alarm
    lines = read_systems(reports, [])[0].lines
    assert page_data(reports, lines, found, NO_FILMS)["reasons"]["reports"] == 0.3


def test_reports_without_influence_have_no_such_share(tmp_path: Path) -> None:
    reports = write(tmp_path, own=own)
    limits(tmp_path, 0.1)
    found = scores(reports)
    assert found["recall"]["mattered"] is None
    assert not [text for text in found["sentences"] if "A recalled case bears" in text]


@pytest.mark.parametrize("named", [{"regions": "high"}, [], 3, {"regions": 1, "reports": 1, "studies": 1}])
def test_a_damaged_threshold_is_named(tmp_path: Path, named: Any) -> None:
    reports = write(tmp_path, own=measured(0.5))
    (tmp_path / "reports.meta.json").write_text(json.dumps({"influence_threshold": named}))
    with pytest.raises(ScoringError, match=r"reports.meta.json: field 'influence_threshold' is .* must have regions"):
        scores(reports)


def test_an_influence_that_is_no_number_is_named(tmp_path: Path) -> None:
    def wrong(i: int) -> dict[str, Any]:
        return {**own(i), "reports": [{**report(i, "A text."), "influence": "high"}]}

    with pytest.raises(ScoringError, match=r"own.jsonl.*field 'influence' is 'high'; it must be a number or null"):
        scores(write(tmp_path, own=wrong))
