"""Invention and faithfulness in scores.json, in the tables and in sentences."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest

from ammrg import evaluate
from ammrg.commands.score import main
from ammrg.errors import ScoringError
from ammrg.evaluation.page.writing import NO_FILMS, page_data
from ammrg.evaluation.predictions import read_lines
from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.metrics.faithfulness import KEYS

NAMED = ("Pleural Effusion", "Pneumothorax", "Pneumonia", "Consolidation")
FAST = ["--no-meteor", "--bootstrap", "50", "--no-page"]
THRESHOLDS = dict.fromkeys(FINDINGS, 0.3)


def drawn(i: int) -> list[str]:
    return random.Random(i).sample(NAMED, 2)


def report(names: list[str]) -> str:
    return " ".join(f"There is a {name.lower()}." for name in names)


def probabilities(names: list[str]) -> dict[str, float]:
    return {name: 0.31 if name in names else 0.3 for name in FINDINGS}


def write(path: Path, texts: list[str], tables: list[list[str]] | None = None, **meta: Any) -> Path:
    """A predictions file of 60 studies, with the tables of the findings that are present and a meta file."""
    rows: list[dict[str, Any]] = [
        {"study_id": f"s{i:02}", "subject_id": f"p{i}", "reference": report(drawn(i)), "generated": text}
        for i, text in enumerate(texts)
    ]
    for row, names in zip(rows, tables or [], strict=False):
        row["findings"] = probabilities(names)
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    if meta:
        (path.parent / "reports.meta.json").write_text(json.dumps(meta))
    return path


TABLES = [drawn(i) for i in range(60)]
FAITHFUL = [report(names) for names in TABLES]
ROTATED = FAITHFUL[1:] + FAITHFUL[:1]


def scores(path: Path, **settings: Any) -> dict[str, Any]:
    return evaluate(path, resamples=100, with_meteor=False, **settings)


def of(found: dict[str, Any], start: str) -> str:
    (sentence,) = (each for each in found["sentences"] if each.startswith(start))
    return str(sentence)


# --- faithfulness -----------------------------------------------------------------------------------------------------
def test_reports_that_say_what_the_network_found(tmp_path: Path) -> None:
    found = scores(write(tmp_path / "reports.jsonl", FAITHFUL, TABLES, thresholds=THRESHOLDS))
    assert [found["full"][key]["value"] for key in KEYS] == [1.0, 0.0, 0.0]
    ours = found["faithfulness"]["ours"]
    assert (ours["found"], ours["said"], ours["both"], ours["denied"]) == (120, 120, 120, 0)
    assert ours["above_exchanged"]["low"] > 0
    exchanged = found["guards"]["reports_exchanged"]["full"]["said_f1"]["value"]
    assert ours["above_exchanged"]["value"] == pytest.approx(1 - exchanged)
    text = of(found, "Of 120 findings")
    assert text.startswith(
        "Of 120 findings in the network's own tables the reports affirm 120 and deny 0; 0 of the 120 "
    )
    assert "NOT SAY" not in text
    assert "Most left out" not in text


def test_reports_of_other_studies_are_called_out(tmp_path: Path) -> None:
    found = scores(write(tmp_path / "reports.jsonl", ROTATED, TABLES, thresholds=THRESHOLDS))
    text = of(found, "Of 120 findings")
    assert text.endswith("THE REPORTS DO NOT SAY WHAT THE NETWORK FOUND.")
    assert text in found["alarms"]
    assert "Most left out: " in text


def test_denied_findings_are_counted(tmp_path: Path) -> None:
    texts = [f"No {names[0].lower()}." for names in TABLES]
    ours = scores(write(tmp_path / "reports.jsonl", texts, TABLES, thresholds=THRESHOLDS))["faithfulness"]["ours"]
    assert (ours["said"], ours["denied"]) == (0, 60)
    assert sum(row["missing"] for row in ours["findings"].values()) == 120


def test_a_finding_that_is_only_called_possible_is_told_though_no_measure_counts_it(tmp_path: Path) -> None:
    texts = [f"{FAITHFUL[0]} Possible rib fracture.", *FAITHFUL[1:]]
    assert "Fracture" not in TABLES[0]
    found = scores(write(tmp_path / "reports.jsonl", texts, TABLES, thresholds=THRESHOLDS))
    assert [found["full"][key]["value"] for key in KEYS] == [1.0, 0.0, 0.0]
    assert found["faithfulness"]["ours"]["hedged"] == 1
    assert "Not counted: 1 that the reports call possible" in of(found, "Of 120 findings")


@pytest.mark.parametrize(
    ("tables", "texts", "said"),
    [
        ([["Edema"]] * 60, FAITHFUL, "All tables are the same, so there is no verdict."),
        ([*TABLES[:19], *([[]] * 41)], ROTATED, "Fewer than 40 findings, so there is no verdict."),
        ([[]] * 60, FAITHFUL, "affirm no finding (n = 0) and the reports 120, so faithfulness is not measured."),
    ],
)
@pytest.mark.parametrize("resamples", [0, 50])
def test_what_gives_no_verdict_says_so(
    tmp_path: Path, tables: list[list[str]], texts: list[str], said: str, resamples: int
) -> None:
    path = write(tmp_path / "reports.jsonl", texts, tables, thresholds=THRESHOLDS)
    found = evaluate(path, resamples=resamples, with_meteor=False)
    json.dumps(found, allow_nan=False)
    assert [text for text in found["sentences"] if said in text]
    assert not [text for text in found["alarms"] if "NETWORK FOUND" in text]
    if "n = 0" in said:
        assert found["full"]["said_missing"] == {"value": None, "low": None, "high": None}
        assert found["full"]["said_invented"]["value"] == 1.0


def test_without_thresholds_nothing_is_guessed(tmp_path: Path) -> None:
    for meta in ({"dataset": "phantom"}, {}):
        found = scores(write(tmp_path / "reports.jsonl", FAITHFUL, TABLES, **meta))
        assert not set(KEYS) & set(found["full"])
        assert "is missing or names no thresholds: it is written last, after the guards" in of(
            found, "Faithfulness is not"
        )


def test_files_without_probabilities_have_no_such_measure(tmp_path: Path) -> None:
    found = scores(write(tmp_path / "reports.jsonl", FAITHFUL, thresholds=THRESHOLDS))
    assert not set(KEYS) & set(found["full"])
    told = "the predictions hold no probabilities of findings (field 'findings')"
    assert found["faithfulness"]["ours"]["absent"] == told
    assert of(found, "Faithfulness is not") not in found["alarms"]
    texts = evaluate(FAITHFUL, references=FAITHFUL, resamples=0, with_meteor=False)
    assert texts["faithfulness"]["ours"]["absent"] == told
    table = tmp_path / "mine.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["study_id", "reference", "generated", "findings"])
        rows.writerows([i, text, text, "Edema: the lungs are clear."] for i, text in enumerate(FAITHFUL))
    assert scores(table)["faithfulness"]["ours"]["absent"] == told
    some = scores(write(tmp_path / "reports.jsonl", FAITHFUL, TABLES[:20], thresholds=THRESHOLDS))
    assert "40 of 60 studies have no probabilities" in of(some, "Faithfulness is not")


def test_a_probability_on_its_threshold_is_not_above_it(tmp_path: Path) -> None:
    (line, *_) = read_lines(write(tmp_path / "reports.jsonl", FAITHFUL, TABLES, thresholds=THRESHOLDS))
    assert line.table is not None
    assert line.table.present is not None
    assert set(line.table.present) == set(TABLES[0])
    assert len(line.table.probabilities) == len(ABNORMAL)


@pytest.mark.parametrize("wrong", ["high", 1.5, True, None])
def test_a_table_that_cannot_be_read_is_an_error(tmp_path: Path, wrong: Any) -> None:
    path = write(tmp_path / "reports.jsonl", FAITHFUL, TABLES, thresholds=THRESHOLDS)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[2]["findings"]["Edema"] = wrong
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ScoringError, match=r"line 3: field 'findings' has .* for Edema; it must be a probability"):
        read_lines(path)


@pytest.mark.parametrize("wrong", [{**THRESHOLDS, "Edema": "low"}, {"Edema": 0.5}, [0.5] * 14])
def test_thresholds_that_cannot_be_read_are_an_error(tmp_path: Path, wrong: Any) -> None:
    path = write(tmp_path / "reports.jsonl", FAITHFUL, TABLES, thresholds=wrong)
    with pytest.raises(ScoringError, match=r"reports.meta.json: field 'thresholds' has .*Write the reports again"):
        read_lines(path)
    (tmp_path / "reports.meta.json").write_text("{")
    with pytest.raises(ScoringError, match=r"reports.meta.json: not JSON .*write the reports again"):
        read_lines(path)


def test_other_systems_guards_and_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = write(tmp_path / "run/reports.jsonl", FAITHFUL, TABLES, thresholds=THRESHOLDS)
    write(tmp_path / "run/guards/images_shuffled.jsonl", ROTATED, TABLES[1:] + TABLES[:1])
    write(tmp_path / "run/baselines/constant.jsonl", [FAITHFUL[0]] * 60)
    higher = dict.fromkeys(FINDINGS, 0.9)
    theirs = write(tmp_path / "theirs/reports.jsonl", ROTATED, TABLES, thresholds=THRESHOLDS)
    none = write(tmp_path / "none/reports.jsonl", FAITHFUL, TABLES, thresholds=higher)
    bare = write(tmp_path / "bare/reports.jsonl", FAITHFUL)
    main([str(ours), *FAST, "--against", str(theirs), str(none), str(bare)])
    found = json.loads((tmp_path / "run/scores.json").read_text())
    assert found["guards"]["images_shuffled"]["full"]["said_f1"]["value"] == 1.0  # its own films, its own table
    assert "said_f1" not in found["baselines"]["constant"]["full"]
    row = found["comparisons"]["theirs/reports"]["full"]["said_f1"]
    assert row["low"] > 0
    assert row["p_value"] == pytest.approx(1 / 51)
    assert row["value"] == pytest.approx(1 - found["against"]["theirs/reports"]["full"]["said_f1"]["value"])
    assert found["faithfulness"]["against/none/reports"]["found"] == 0
    assert set(KEYS) & set(found["comparisons"]["none/reports"]["full"]) == {"said_f1", "said_invented"}
    assert not set(KEYS) & set(found["comparisons"]["bare/reports"]["full"])
    shown = capsys.readouterr().out
    for words in ("faithfulness: do reports say", "faithfulness by finding", "images shuffled", "said F1"):
        assert words in shown
    main([str(bare), *FAST])
    assert "faithfulness: do" not in capsys.readouterr().out


# --- invention --------------------------------------------------------------------------------------------------------
def test_reports_that_invent_are_called_out(tmp_path: Path) -> None:
    texts = [f"{text} Unchanged." if i % 3 == 0 else f"{text} A 5 mm nodule." for i, text in enumerate(FAITHFUL)]
    found = scores(write(tmp_path / "reports.jsonl", texts))
    values = {key: row["value"] for key, row in found["full"].items() if key.startswith("invented")}
    assert values == pytest.approx(
        {
            **{"invented": 1.0, "invented_change": 1 / 3, "invented_size": 2 / 3, "invented_distance": 0.0},
            **{f"invented{end}_references": 0.0 for end in ("", "_change", "_size", "_distance")},
        }
    )
    assert found["full"]["invented_change"]["low"] < 1 / 3 < found["full"]["invented_change"]["high"]
    text = of(found, "60 of the 60 reports (change since an earlier film 33.3%, sizes 66.7%) speak of")
    assert text.endswith("THE REPORTS INVENT MORE OFTEN THAN THE REFERENCES.")
    assert text in found["alarms"]
    assert found["invented"]["ours"]["generated"]["invented_size"] == 40


def test_as_often_as_the_references_is_no_alarm() -> None:
    texts = [f"{text} Stable." if i % 2 else text for i, text in enumerate(FAITHFUL)]
    found = evaluate(texts, references=texts, resamples=50, with_meteor=False)
    assert "30 of the 60 reports (change since an earlier film 50.0%)" in of(found, "30 of the 60")
    assert of(found, "30 of the 60") not in found["alarms"]
    quiet = evaluate(FAITHFUL, references=texts, resamples=50, with_meteor=False)
    assert of(quiet, "None of the 60 reports").endswith("(of the references, 30 (change since an earlier film 50.0%)).")


def test_invention_is_compared_with_another_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = write(tmp_path / "reports.jsonl", FAITHFUL)
    theirs = write(tmp_path / "theirs.jsonl", [f"{text} Unchanged." for text in FAITHFUL])
    main([str(ours), *FAST, "--against", str(theirs)])
    compared = json.loads((tmp_path / "scores.json").read_text())["comparisons"]["theirs"]["full"]
    assert compared["invented"]["value"] == -1.0
    assert compared["invented"]["p_value"] == pytest.approx(1 / 51)
    assert not [key for key in compared if key.endswith("_references")]
    shown = capsys.readouterr().out
    assert "share of texts that speak of what one film cannot show" in shown
    assert "invented change" in shown


def test_scores_without_these_measures_are_made_again(tmp_path: Path) -> None:
    words = [str(write(tmp_path / "reports.jsonl", FAITHFUL)), *FAST, "--quiet"]
    main(words)
    kept = json.loads((tmp_path / "scores.json").read_text())
    for name in ("invented", "faithfulness"):
        older = {key: value for key, value in kept.items() if key != name}
        (tmp_path / "scores.json").write_text(json.dumps(older))
        main([*words, "--show"])
        assert json.loads((tmp_path / "scores.json").read_text()) == kept


# --- report.html ------------------------------------------------------------------------------------------------------
def test_the_page_holds_both(tmp_path: Path) -> None:
    texts = ["Unchanged. There is a 5 mm nodule.", *ROTATED[1:]]
    path = write(tmp_path / "reports.jsonl", texts, TABLES, thresholds=THRESHOLDS)
    data = page_data(path, read_lines(path), scores(path), NO_FILMS)
    first = data["studies"][0]
    assert first["unseen"]["generated"] == [[0, 0, 9, "change"], [1, 11, 15, "size"]]
    assert first["unseen"]["reference"] == []
    assert [name for i, name in enumerate(FINDINGS) if first["found"] >> i & 1] == sorted(TABLES[0], key=FINDINGS.index)
    rows = {name: counts for name, *counts in data["faithfulness"]}
    assert sum(found for found, *_ in rows.values()) == 120
    assert set(rows) == {FINDINGS[i] for i in ABNORMAL}
    assert {"invented", "said_f1"} <= {column["key"] for column in data["columns"]}
    bare = write(tmp_path / "bare/reports.jsonl", FAITHFUL)
    data = page_data(bare, read_lines(bare), scores(bare), NO_FILMS)
    assert data["faithfulness"] is None
    assert {study["found"] for study in data["studies"]} == {None}
