"""What the sentences of a score file call out: collapse, shuffled reports, copies, few patients, unnamed cuts."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from ammrg import evaluate
from ammrg.commands.score import main
from ammrg.errors import ScoringError
from tests.experiments.score.reports import FAST, SENTENCES, lines, of_patients, report, write


def test_alarms_are_the_sentences_in_capitals(run: Path) -> None:
    write(run.parent / "guards/memory_off.jsonl", [json.loads(line) for line in run.read_text().splitlines()])
    found = evaluate(run, resamples=200, with_meteor=False)
    memories = next(said for said in found["sentences"] if "both memories off" in said)
    assert "NO CLEAR USE OF THE MEMORIES" in memories
    assert [said.partition(":")[0] for said in found["alarms"][:-1]] == ["REFERENCES ARE COPIED"]
    assert found["alarms"][-1] == memories
    write(run.parent / "a/reports.jsonl", lines([""] * 40))
    empty = evaluate(run.parent / "a/reports.jsonl", resamples=0, with_meteor=False)
    assert [said.partition(":")[0] for said in empty["alarms"]] == [
        "ONE TEXT FOR ALL",
        "EMPTY REPORTS",
        "LENGTHS FAR OFF",
    ]


def test_a_planted_collapse_is_called_out(tmp_path: Path) -> None:
    path = write(tmp_path / "reports.jsonl", lines(["The lungs are clear."] * 40))
    said = " ".join(evaluate(path, resamples=20, with_meteor=False)["sentences"])
    assert "ONE TEXT FOR ALL: all 40 reports are the same." in said


def test_a_planted_shuffle_is_called_out(run: Path) -> None:
    rows = [json.loads(line) for line in run.read_text().splitlines()]
    texts = [row["generated"] for row in rows]
    write(run, lines(texts[9:] + texts[:9]))
    said = evaluate(run, resamples=200, with_meteor=False)["sentences"]
    told = "NO CLEAR USE OF THE FILMS by clinical micro F1 (13) and CIDEr and side F1."
    assert any(told in sentence for sentence in said)


def test_good_reports_are_seen_to_use_the_films(run: Path) -> None:
    said = [line for line in evaluate(run, resamples=200, with_meteor=False)["sentences"] if "films" in line]
    assert len(said) == 1
    assert not any("NO CLEAR" in sentence for sentence in said)


def test_a_planted_collapse_and_shuffle_are_called_out_in_any_file_alone(tmp_path: Path) -> None:
    """No baselines, no guards, no network: a CSV of whatever system."""
    for name, texts in (
        ("collapse", ["The lungs are clear."] * 40),
        ("shuffle", [report(i) for i in range(40)][17:] + [report(i) for i in range(40)][:17]),
        ("good", [report(i) if i % 4 else report(i + 1) for i in range(40)]),
    ):
        path = tmp_path / f"{name}.csv"
        with path.open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["study_id", "reference", "generated"])
            table.writerows([f"s{i}", report(i), text] for i, text in enumerate(texts))
        said = " ".join(evaluate(path, resamples=200, with_meteor=False)["sentences"])
        assert ("NO CLEAR LINK" in said) == (name != "good")
        assert ("ONE TEXT FOR ALL: all 40 reports are the same." in said) == (name == "collapse")


def test_differences_are_those_of_the_scores(run: Path) -> None:
    found = evaluate(run, resamples=150, with_meteor=False)
    seen = set()
    for group in ("baselines", "guards"):
        assert found["differences"][group].keys() == found[group].keys() - {"films_mirrored"}
        for name, gap in found["differences"][group].items():
            for metric, row in gap.items():
                beside = found["full"][metric]["value"] - found[group][name]["full"][metric]["value"]
                assert row["value"] == pytest.approx(beside, abs=1e-9)
                assert row["low"] <= row["value"] <= row["high"]
                seen.add(metric)
    assert {"clinical_micro_f1_13_neg", "cider"} <= seen


def test_a_difference_in_what_neither_says_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "unplaced.csv"
    texts = ["There is edema.", "No edema.", "The heart is enlarged."] * 4
    rows = [f"s{i},{text},{text}" for i, text in enumerate(texts)]
    path.write_text("\n".join(["study_id,reference,generated", *rows]))
    gap = evaluate(path, resamples=100, with_meteor=False)["differences"]["guards"]["reports_exchanged"]
    assert gap.keys() == {"clinical_micro_f1_13_neg", "cider"}


def test_what_fixing_the_idf_changes_is_told(run: Path) -> None:
    found = evaluate(run, resamples=150, with_meteor=False)
    for protocol in ("full", "r2gen"):
        row = found["cider_idf"][protocol]
        assert row["resamples"] == 100
        assert 0 < row["largest_difference"] < 1
        assert row["fixed_sd"] > 0
    assert evaluate(run, resamples=0, with_meteor=False)["cider_idf"] == {}


def test_copying_from_memory_is_called_out(run: Path) -> None:
    rows = [json.loads(line) for line in run.read_text().splitlines()]
    for row in rows:
        row["reports"] = [{"text": row["generated"], "weight": 1.0}, {"text": "Other.", "weight": 0.1}]
    found = evaluate(write(run, rows), resamples=0, with_meteor=False)
    assert found["copying"]["whole"] == found["copying"]["share"] == 1.0
    assert any("MUCH IS COPIED FROM MEMORY: 100%" in said for said in found["sentences"])


@pytest.mark.parametrize("patients", [1, 4])
def test_too_few_patients_have_no_interval_and_are_the_one_alarm(
    tmp_path: Path, patients: int, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "baselines/best_constant_cider.jsonl", of_patients(patients))
    other = write(tmp_path / "other.jsonl", of_patients(patients))
    path = write(tmp_path / "reports.jsonl", of_patients(patients))
    main([str(path), *FAST, "--against", str(other)])
    found = json.loads((tmp_path / "scores.json").read_text())
    assert {(row["low"], row["high"]) for row in found["full"].values()} == {(None, None)}
    assert found["comparisons"] == found["cider_idf"] == {}
    told = f"TOO FEW PATIENTS FOR AN INTERVAL: {patients} patient{'s' if patients > 1 else ''}, at least 5 are needed."
    assert found["sentences"][0].startswith(told)
    assert found["alarms"] == found["sentences"][:1]
    shown = capsys.readouterr().out
    assert told in " ".join(shown.split())
    assert "95% from" not in shown


def test_few_patients_have_an_interval_that_is_said_to_be_narrow(tmp_path: Path) -> None:
    found = evaluate(write(tmp_path / "reports.jsonl", of_patients(6)), resamples=50, with_meteor=False)
    assert found["full"]["rouge_l"]["low"] < found["full"]["rouge_l"]["high"]
    assert "Few patients: intervals over 6 patients are narrower than they should be." in found["sentences"]
    assert not [said for said in found["alarms"] if "patients" in said.lower()]
    many = evaluate(write(tmp_path / "reports.jsonl", of_patients(20, 40)), resamples=50, with_meteor=False)
    assert not [said for said in many["sentences"] if "patients" in said.lower()]
    assert evaluate(tmp_path / "reports.jsonl", resamples=0, with_meteor=False)["full"]["rouge_l"]["low"] is None


def test_whose_cuts_were_taken_is_said_and_never_assumed(run: Path, tmp_path: Path) -> None:
    taken = (
        "r2gen: cleaner and cut of {} (as {} says), references cut to {} words, every word known (no "
        "--train-texts given"
    )
    main([str(run), *FAST, "--quiet"])
    kept = json.loads((run.parent / "scores.json").read_text())
    assert kept["sentences"][0].startswith(taken.format("phantom", "reports.meta.json", 59))
    main([str(run), *FAST, "--quiet", "--dataset", "mimic_cxr"])
    assert json.loads((run.parent / "scores.json").read_text())["sentences"][0].startswith(
        taken.format("mimic_cxr", "--dataset", 99)
    )
    for meta, told in ((None, "no data set is given"), ({"dataset": "r2gen"}, "r2gen has none")):
        (run.parent / "reports.meta.json").unlink()
        if meta:
            (run.parent / "reports.meta.json").write_text(json.dumps(meta))
        else:
            with pytest.raises(
                ScoringError, match=r"protocol r2gen: its cleaner and cut .* no data set is given; choose"
            ):
                main([str(run), *FAST, "--quiet", "--protocol", "full", "r2gen"])
        main([str(run), *FAST, "--quiet"])
        kept = json.loads((run.parent / "scores.json").read_text())
        assert "r2gen" not in kept
        assert list(kept["meta"]["protocols"]) == ["full"]
        assert kept["sentences"][0].startswith(
            "Only full is scored: the cleaners and cuts of r2gen and r2gengpt depend"
        )
        assert told in kept["sentences"][0]
        (run.parent / "reports.meta.json").touch()


def test_the_number_of_training_words_known_is_said(run: Path, tmp_path: Path) -> None:
    texts = tmp_path / "train.txt"
    texts.write_text("".join(f"{sentence}\n" for sentence in SENTENCES[:4] * 3))
    main([str(run), *FAST, "--quiet", "--protocol", "r2gen", "--train-texts", str(texts)])
    kept = json.loads((run.parent / "scores.json").read_text())
    assert kept["sentences"][0].endswith(f", {kept['meta']['protocols']['r2gen']['vocabulary']} words known.")
