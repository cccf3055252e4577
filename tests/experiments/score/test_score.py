"""The score command, called as a user calls it: files, tables, comparisons and errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ammrg import evaluate
from ammrg.commands.score import main
from ammrg.errors import CheckpointError, ScoringError
from ammrg.evaluation.predictions import read_lines, read_systems
from ammrg.evaluation.scorer import Extra
from ammrg.evaluation.scoring import score_systems
from ammrg.metrics import clinical
from ammrg.metrics.language import language_scores
from ammrg.metrics.location import location_scores
from ammrg.notice import NOTICE
from ammrg.text.cleaning import normalise, r2gen
from ammrg.text.labeler import label
from ammrg.text.places import finding_places
from ammrg.text.unseen import unseen_kinds
from ammrg.text.unseen_words import KINDS
from experiments.__main__ import main as command
from experiments.language_models.tokenizer import train_tokenizer
from tests.experiments.score.reports import FAST, SENTENCES, lines, of_patients, report, write


def test_scores_are_those_of_the_metrics(run: Path) -> None:
    main([str(run), *FAST, "--quiet"])
    scores = json.loads((run.parent / "scores.json").read_text())
    rows = [json.loads(line) for line in run.read_text().splitlines()]
    references, generated = [row["reference"] for row in rows], [row["generated"] for row in rows]
    views = {"full": normalise, "r2gen": lambda text: r2gen(text, "phantom")}
    found = clinical.clinical_scores([label(text) for text in references], [label(text) for text in generated])
    places = ([finding_places(text) for text in texts] for texts in (references, generated))
    found |= {key: value for key, value in location_scores(*places).items() if value is not None}
    for end, texts in (("", generated), ("_references", references)):
        spoken = [unseen_kinds(text) for text in texts]
        found |= {f"invented_{kind}{end}": sum(kind in each for each in spoken) / len(texts) for kind in KINDS}
        found[f"invented{end}"] = sum(map(bool, spoken)) / len(texts)
    for name, view in views.items():
        expected = language_scores([view(text) for text in references], [view(text) for text in generated]) | found
        assert {key: row["value"] for key, row in scores[name].items()} == pytest.approx(expected, abs=1e-12)
        for row in scores[name].values():
            assert row["low"] <= row["high"]
        assert "location_side_f1_chance" in expected
    assert set(scores["baselines"]) == {"best_constant_cider"}
    assert set(scores["guards"]["images_shuffled"]) == {"full", "r2gen"}
    meta = scores["meta"]
    assert (meta["studies"], meta["patients"], meta["dataset"]) == (40, 20, "phantom")
    assert meta["meteor"] == "absent"
    assert meta["reference_in_training"]["share"] == 0.25
    assert meta["reference_in_training"]["others"] == 30
    assert "time" not in json.dumps(meta)


def test_equal_inputs_give_equal_files_whatever_the_order_of_lines(run: Path, tmp_path: Path) -> None:
    main([str(run), *FAST, "--quiet", "--out", str(tmp_path / "a.json")])
    write(run, [json.loads(line) for line in run.read_text().splitlines()][::-1])
    main([str(run), *FAST, "--quiet", "--out", str(tmp_path / "b.json")])
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_the_table_shows_rows_intervals_and_the_notice(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["score", str(run), *FAST]) == 0
    shown = capsys.readouterr().out
    for words in (
        "BLEU-4",
        "CIDEr",
        "full: ours",
        "r2gen: ours",
        "best constant, by CIDEr",
        "images shuffled",
        "95% from",
        "rule-based",
        "METEOR absent",
        "location, by the rule-based labeler",
        "25% of the references are also training reports, word for word",
        "films shuffled among studies",
        NOTICE,
        "scores.json",
    ):
        assert words in shown, words


def test_show_keeps_true_scores_and_renews_stale_ones(run: Path) -> None:
    out = run.parent / "scores.json"
    main([str(run), *FAST, "--quiet"])
    kept = json.loads(out.read_text())
    kept["sentences"] = ["a mark"]
    out.write_text(json.dumps(kept))
    main([str(run), *FAST, "--show"])
    assert json.loads(out.read_text())["sentences"] == ["a mark"]
    write(run, lines([report(i + 7) for i in range(40)]))
    main([str(run), *FAST, "--show"])
    assert json.loads(out.read_text())["sentences"] != ["a mark"]


def test_show_keeps_the_comparison_with_others(run: Path) -> None:
    out, other = run.parent / "scores.json", run.parent / "elsewhere" / "other.jsonl"
    other.parent.mkdir()
    write(other, lines([report(i + 1) for i in range(40)]))
    main([str(run), *FAST, "--quiet", "--against", str(other)])
    compared = json.loads(out.read_text())["comparisons"]
    assert list(compared) == ["other"]
    main([str(run), *FAST, "--show", "--quiet"])
    assert json.loads(out.read_text())["comparisons"] == compared
    write(run, lines([report(i + 7) for i in range(40)]))
    main([str(run), *FAST, "--show", "--quiet"])  # other reports: scored anew, and compared anew
    assert list(json.loads(out.read_text())["comparisons"]) == ["other"]
    assert json.loads(out.read_text())["comparisons"] != compared
    other.unlink()
    main([str(run), *FAST, "--show", "--quiet"])
    assert json.loads(out.read_text())["comparisons"] == {}


@pytest.mark.parametrize("content", ["", '{"meta": {"studies', "[]", '{"meta": {}}'])
def test_show_scores_anew_what_is_not_whole(run: Path, content: str) -> None:
    out = run.parent / "scores.json"
    out.write_text(content)
    main([str(run), *FAST, "--show", "--quiet"])
    assert json.loads(out.read_text())["meta"]["studies"] == 40


def test_show_renews_scores_under_another_tokenizer(run: Path, tmp_path: Path) -> None:
    kept = []
    for size in (300, 320):
        folder = tmp_path / str(size)
        train_tokenizer([report(i) for i in range(40)], size).save_pretrained(folder)
        main([str(run), *FAST, "--show", "--quiet", "--protocol", "r2gengpt", "--tokenizer", str(folder)])
        kept.append(json.loads((run.parent / "scores.json").read_text())["meta"]["protocols"]["r2gengpt"]["tokenizer"])
    assert len(set(kept)) == 2


def test_names_of_files_are_text_in_the_terminal(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "other[red]1"
    other = write(run.parent / "others" / f"{name}.jsonl", lines([report(i + 3) for i in range(40)]))
    main([str(run), *FAST, "--against", str(other), "--out", str(run.parent / "[b]" / "scores.json")])
    shown = " ".join(capsys.readouterr().out.split())
    assert f"ours minus {name}, protocol full" in shown
    assert f"against {name}" in shown
    assert "/[b]/scores.json" in shown


def test_no_siblings_no_intervals_no_training_flag(tmp_path: Path) -> None:
    rows = [{key: row[key] for key in ("study_id", "subject_id", "reference", "generated")} for row in lines(["x"] * 3)]
    found = evaluate(write(tmp_path / "reports.jsonl", rows), protocols=("full",), resamples=0, with_meteor=False)
    assert found["baselines"] == found["against"] == {}
    assert set(found["guards"]) == {"reports_exchanged"}
    assert "r2gen" not in found
    assert found["full"]["bleu_1"] == {"value": pytest.approx(0, abs=1e-6), "low": None, "high": None}
    assert found["meta"]["reference_in_training"]["share"] is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lines(["Clear."] * 39), "lacks studies, compared with .*: 1 .first: s039"),
        (lines(["Clear."] * 41), "has extra studies, compared with .*: 1 .first: s040"),
        ([*lines(["Clear."] * 39), lines(["Clear."] * 40)[39] | {"reference": "Other."}], "another reference"),
    ],
)
def test_refuses_a_sibling_of_other_studies(run: Path, rows: list[Any], message: str) -> None:
    write(run.parent / "baselines/random_training.jsonl", rows)
    with pytest.raises(ScoringError, match=message):
        evaluate(run, resamples=0, with_meteor=False)


def test_two_files_are_compared_with_p_value_and_effect(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    worse = write(run.parent / "worse.jsonl", lines([report(i) if i % 5 == 0 else report(i + 3) for i in range(40)]))
    same = write(run.parent / "same.jsonl", [json.loads(line) for line in run.read_text().splitlines()])
    main([str(run), *FAST, "--against", str(worse), str(same)])
    scores = json.loads((run.parent / "scores.json").read_text())
    for name, better in (("worse", True), ("same", False)):
        for protocol in ("full", "r2gen"):
            row = scores["comparisons"][name][protocol]["clinical_micro_f1_14_neg"]
            mine, theirs = (
                table[protocol]["clinical_micro_f1_14_neg"]["value"] for table in (scores, scores["against"][name])
            )
            assert row["value"] == pytest.approx(mine - theirs)
            assert (row["low"] > 0, row["p_value"] == pytest.approx(1 / 51)) == (better, better)
            assert (row["effect"] > 2) == better
    shown = " ".join(capsys.readouterr().out.split())
    assert "ours minus worse, protocol full" in shown
    assert "Against same: " in shown
    assert "NO SIGNIFICANT DIFFERENCE by clinical micro F1 (13) and CIDEr and side F1." in shown


def test_the_other_way_round_is_below(run: Path) -> None:
    worse = write(run.parent / "worse.jsonl", lines([report(i + 3) for i in range(40)]))
    systems = read_systems(worse, [run])
    assert [system.name for system in systems if system.group == "against"] == ["reports"]
    found = score_systems(systems, protocols=("full",), resamples=50, with_meteor=False)
    assert "BELOW IT by clinical micro F1 (13) and CIDEr and side F1." in found["sentences"][-1]


def test_rexrank_is_written_for_its_own_tool_and_read_again(run: Path) -> None:
    (run.parent / "reports.meta.json").write_text(json.dumps({"dataset": "phantom", "split": "test"}))
    main([str(run), *FAST, "--quiet", "--protocol", "rexrank"])
    written = json.loads((run.parent / "rexrank.json").read_text())
    assert written["s003"] == {
        "section_findings": report(3),
        "section_impression": None,
        "subject_id": "p1",
        "split": "test",
        "model_prediction": report(4),
    }
    again = read_lines(run.parent / "rexrank.json")
    assert again[3].reference == f"Findings: {report(3)}"
    assert (again[3].generated, again[3].subject_id) == (report(4), "p1")


def test_r2gengpt_takes_the_tokenizer_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match="--tokenizer"):
        main([str(run), *FAST, "--quiet", "--protocol", "r2gengpt"])
    train_tokenizer([report(i) for i in range(40)], 300).save_pretrained(tmp_path / "llm")
    main([str(run), *FAST, "--quiet", "--protocol", "full", "r2gengpt", "--tokenizer", str(tmp_path / "llm")])
    scores = json.loads((run.parent / "scores.json").read_text())
    assert scores["meta"]["protocols"]["r2gengpt"]["subtokens"] == 60


def test_metrics_from_outside_are_asked_for_by_name(run: Path) -> None:
    with pytest.raises(ScoringError, match=r"--radeval: also name the python .*pip install radeval"):
        main([str(run), *FAST, "--quiet", "--radeval", "radgraph"])
    with pytest.raises(CheckpointError, match=r"no chexbert\.pth"):
        main([str(run), *FAST, "--quiet", "--chexbert", str(run.parent)])


def test_extras_have_intervals_and_are_compared_even_with_a_baseline(run: Path) -> None:
    """A file that is a baseline too, which is scored without extras."""
    baseline = run.parent / "baselines/best_constant_cider.jsonl"
    lengths = Extra("lengths", lambda _, said: {"words": np.array([float(len(text.split())) for text in said])})
    systems = read_systems(run, [baseline])
    found = score_systems(systems, protocols=("full",), extras=[lengths], resamples=50, with_meteor=False)
    words = [len(line.generated.split()) for line in systems[0].lines]
    row = found["full"]["words"]
    assert row["value"] == pytest.approx(np.mean(words))
    assert row["low"] <= row["value"] <= row["high"]
    gap = found["comparisons"]["best_constant_cider"]["full"]["words"]["value"]
    assert gap == pytest.approx(np.mean(words) - len(report(1).split()))
    assert "words" not in found["baselines"]["best_constant_cider"]["full"]


def test_errors_reach_the_user_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["score", str(tmp_path / "reports.jsonl")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_train_texts_give_r2gen_its_vocabulary(run: Path, tmp_path: Path) -> None:
    texts = tmp_path / "train.jsonl"
    texts.write_text("".join(json.dumps({"report": sentence}) + "\n" for sentence in SENTENCES[:4] * 3))
    main([str(run), *FAST, "--quiet", "--protocol", "r2gen", "--train-texts", str(texts)])
    settings = json.loads((run.parent / "scores.json").read_text())["meta"]["protocols"]["r2gen"]
    assert settings["vocabulary"] > 10


def test_scoring_starts_without_lightning_and_wandb() -> None:
    code = (
        "import sys, ammrg.commands.score; "
        "print([name for name in ('lightning', 'wandb', 'transformers', 'pandas') if name in sys.modules])"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"


def test_a_file_that_is_not_there_gets_advice_that_fits(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*words: str) -> str:
        assert command(["score", *words]) == 1
        return " ".join(capsys.readouterr().err.split())

    folder = run.parent
    meant = said(f"{folder}/report.jsonl")
    assert meant.endswith(f"{folder}/report.jsonl: no such file; did you mean {folder}/reports.jsonl?")
    assert f"there is no folder {folder}/gaurds; did you mean {folder}/guards?" in said(f"{folder}/gaurds/a.jsonl")
    assert f"{folder}: a folder, not a file; name a file in it: reports.jsonl, reports.meta.json" in said(str(folder))
    assert f"in {folder} there is reports.jsonl, reports.meta.json" in said(str(run), "--against", f"{folder}/xyz.csv")
    assert "make reports" not in said(str(run), "--references", f"{folder}/xyz.csv")
    assert f"{folder}/reports.txt: no such file; did you mean" in said(
        str(run), "--train-texts", f"{folder}/reports.txt"
    )
    (tmp_path / "trained" / "stage2").mkdir(parents=True)
    assert "write the run's reports first (make reports)" in said(str(tmp_path / "trained" / "reports.jsonl"))


def test_reports_alone_point_to_the_references(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = of_patients(6)
    bare = [{field: row[field] for field in ("study_id", "generated")} for row in rows]
    path = write(tmp_path / "mine.jsonl", bare)
    assert command(["score", str(path), *FAST]) == 1
    told = f"{path}: none of its {len(rows)} studies has a reference (found study_id, generated"
    assert f"{told}); give the file that holds them with --references, or name their column" in capsys.readouterr().err
    write(path, [row | {"reference": None} for row in bare])
    assert command(["score", str(path), *FAST]) == 1
    assert told in capsys.readouterr().err
    write(path, bare)
    write(tmp_path / "baselines/random_training.jsonl", bare)
    references = write(tmp_path / "references.jsonl", rows)
    assert command(["score", str(path), *FAST, "--references", str(references)]) == 0
    assert set(json.loads((tmp_path / "scores.json").read_text())["baselines"]) == {"random_training"}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_names_of_ones_own_and_patients_of_the_references_in_each_layout(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {f"s{i}": report(i) for i in range(20)}
    truth = [{"study_id": study, "subject_id": f"p{i // 2}", "reference": report(i)} for i, study in enumerate(texts)]
    write(tmp_path / "references.jsonl", truth)
    if name == "a.jsonl":
        write(tmp_path / name, [{"study": study, "prediction": text} for study, text in texts.items()])
    else:
        (tmp_path / name).write_text(json.dumps({study: {"prediction": text} for study, text in texts.items()}))
    words = [str(tmp_path / name), "--references", str(tmp_path / "references.jsonl")]
    assert command(["score", *words, "--columns", "id=study,text=prediction", *FAST]) == 0
    assert (tmp_path / "report.html").is_file()
    assert json.loads((tmp_path / "scores.json").read_text())["meta"]["patients"] == 10


def test_a_file_for_rexrank_is_written_unless_it_is_one_already(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = of_patients(6)
    records, texts = tmp_path / "records.json", tmp_path / "texts.json"
    records.write_text(json.dumps(rows))
    texts.write_text(json.dumps({row["study_id"]: row["generated"] for row in rows}))
    words = ("--protocol", "rexrank", *FAST, "--references", str(records))
    written = []
    for path in (records, texts):
        assert command(["score", str(path), *words, "--out", str(tmp_path / path.stem / "scores.json")]) == 0
        written.append((tmp_path / path.stem / "rexrank.json").read_bytes())
    assert written[0] == written[1]
    made = tmp_path / "records" / "rexrank.json"
    assert command(["score", str(made), *words, "--out", str(tmp_path / "again" / "scores.json")]) == 1
    assert "already in ReXrank's layout; give it to ReXrank's own tool" in capsys.readouterr().err
    assert command(["score", str(made), *words]) == 1
    assert f"{made} would be overwritten, but it is read" in capsys.readouterr().err


def test_a_labeler_by_name_is_refused_in_a_sentence() -> None:
    with pytest.raises(ScoringError, match=r"labeler='chexpert': give a Labeler, such as"):
        evaluate(["Edema."], references=["No edema."], labeler="chexpert")  # type: ignore[arg-type]
