from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ammrg.errors import ScoringError
from ammrg.metrics import clinical
from ammrg.metrics.language import language_scores
from ammrg.text.cleaning import normalise, r2gen
from ammrg.text.labeler import label
from experiments.__main__ import main as command
from experiments.predictions import read_lines
from experiments.score import main, score

SENTENCES = (
    "There is a small left pleural effusion.",
    "No pleural effusion or pneumothorax.",
    "Mild cardiomegaly.",
    "The heart is normal in size.",
    "Possible pneumonia in the right lung.",
    "The lungs are clear.",
    "A nodule is seen in the upper lobe.",
    "Left rib fracture.",
)
FAST = ("--no-meteor", "--bootstrap", "50")


def report(seed: int) -> str:
    return " ".join(random.Random(seed).sample(SENTENCES, 4))


def lines(generated: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "study_id": f"s{i:03}",
            "subject_id": f"p{i // 2}",
            "reference": report(i),
            "generated": text,
            "reference_in_training": i % 4 == 0,
        }
        for i, text in enumerate(generated)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Good reports, a baseline and a guard of 40 studies of 20 patients."""
    good = [report(i) if i % 3 else report(i + 1) for i in range(40)]
    write(tmp_path / "baselines/best_constant_cider.jsonl", lines([report(1)] * 40))
    write(tmp_path / "guards/images_shuffled.jsonl", lines(good[5:] + good[:5]))
    (tmp_path / "reports.meta.json").write_text(json.dumps({"dataset": "phantom"}))
    return write(tmp_path / "reports.jsonl", lines(good))


def test_scores_are_those_of_the_metrics(run: Path) -> None:
    main([str(run), *FAST, "--quiet"])
    scores = json.loads((run.parent / "scores.json").read_text())
    rows = [json.loads(line) for line in run.read_text().splitlines()]
    references, generated = [row["reference"] for row in rows], [row["generated"] for row in rows]
    views = {"full": normalise, "r2gen": lambda text: r2gen(text, "phantom")}
    found = clinical.clinical_scores([label(text) for text in references], [label(text) for text in generated])
    for name, view in views.items():
        expected = language_scores([view(text) for text in references], [view(text) for text in generated]) | found
        assert {key: row["value"] for key, row in scores[name].items()} == pytest.approx(expected, abs=1e-12)
        for row in scores[name].values():
            assert row["low"] <= row["high"]
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
        "best constant cider",
        "images shuffled",
        "95% from",
        "rule-based",
        "METEOR absent",
        "25% of the references stand verbatim",
        "films shuffled among studies",
        "Research use only. Not for diagnosis.",
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


def test_a_planted_collapse_is_called_out(tmp_path: Path) -> None:
    path = write(tmp_path / "reports.jsonl", lines(["The lungs are clear."] * 40))
    said = " ".join(score(path, resamples=20, with_meteor=False)["sentences"])
    assert "All 40 reports are the same text." in said


def test_a_planted_shuffle_is_called_out(run: Path) -> None:
    rows = [json.loads(line) for line in run.read_text().splitlines()]
    texts = [row["generated"] for row in rows]
    write(run, lines(texts[9:] + texts[:9]))
    said = score(run, resamples=200, with_meteor=False)["sentences"]
    assert any("NO CLEAR USE OF THE FILMS by clinical micro F1 (13) and CIDEr." in sentence for sentence in said)


def test_good_reports_are_seen_to_use_the_films(run: Path) -> None:
    said = [line for line in score(run, resamples=200, with_meteor=False)["sentences"] if "films" in line]
    assert len(said) == 1
    assert not any("NO CLEAR" in sentence for sentence in said)


def test_no_siblings_no_intervals_no_training_flag(tmp_path: Path) -> None:
    rows = [{key: row[key] for key in ("study_id", "subject_id", "reference", "generated")} for row in lines(["x"] * 3)]
    found = score(write(tmp_path / "reports.jsonl", rows), protocols=("full",), resamples=0, with_meteor=False)
    assert found["baselines"] == found["against"] == {}
    assert set(found["guards"]) == {"reports_exchanged"}
    assert "r2gen" not in found
    assert found["full"]["bleu_1"] == {"value": pytest.approx(0, abs=1e-6), "low": None, "high": None}
    assert found["meta"]["reference_in_training"]["share"] is None


def changed(**changes: Any) -> list[dict[str, Any]]:
    rows = lines(["Clear."] * 3)
    rows[1] |= changes
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (changed(study_id="s000"), "line 2: study s000 stands twice"),
        (changed(reference="  "), "line 2: study s001 has an empty reference"),
        (changed(generated=None), "line 2: field 'generated' is None"),
        (changed(split="val"), "several splits"),
        ([], "no line"),
        ([[1]], "each line must be one JSON object"),
    ],
)
def test_refuses_a_broken_file(tmp_path: Path, rows: list[Any], message: str) -> None:
    with pytest.raises(ScoringError, match=message):
        read_lines(write(tmp_path / "reports.jsonl", rows))


def test_refuses_text_that_is_not_json_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "reports.jsonl").write_text("hello\n")
    with pytest.raises(ScoringError, match="line 1: not JSON"):
        read_lines(tmp_path / "reports.jsonl")
    with pytest.raises(ScoringError, match="no such file"):
        read_lines(tmp_path / "other.jsonl")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lines(["Clear."] * 39), "lacks 1 studies .first: s039"),
        (lines(["Clear."] * 41), "holds unknown 1 studies .first: s040"),
        ([*lines(["Clear."] * 39), lines(["Clear."] * 40)[39] | {"reference": "Other."}], "another reference"),
    ],
)
def test_refuses_a_sibling_of_other_studies(run: Path, rows: list[Any], message: str) -> None:
    write(run.parent / "baselines/random_training.jsonl", rows)
    with pytest.raises(ScoringError, match=message):
        score(run, resamples=0, with_meteor=False)


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
        "import sys, experiments.score; "
        "print([name for name in ('lightning', 'wandb', 'transformers', 'pandas') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
