"""``from ammrg import evaluate``: the scores of ``ammrg score`` without a command line."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from ammrg import evaluate, per_study
from ammrg.__main__ import main
from ammrg.errors import ScoringError

ROOT = Path(__file__).parents[2]
SENTENCES = (
    "There is a small left pleural effusion.",
    "No pleural effusion or pneumothorax.",
    "Mild cardiomegaly.",
    "The lungs are clear.",
    "Possible pneumonia in the right lung.",
)
REFERENCES = [" ".join(random.Random(i).sample(SENTENCES, 3)) for i in range(24)]
GENERATED = [REFERENCES[i + 1] if i % 3 else REFERENCES[i] for i in range(23)] + ["---"]
PATIENTS = [f"p{i // 2}" for i in range(24)]


def written(path: Path, fields: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in fields))
    return path


def rows(*names: str) -> list[dict[str, Any]]:
    """Named fields of each study."""
    known = {"generated": GENERATED, "reference": REFERENCES, "subject_id": PATIENTS}
    return [{"study_id": f"{i:02}"} | {name: known[name][i] for name in names} for i in range(24)]


def test_texts_a_file_and_the_command_give_the_same_scores(tmp_path: Path) -> None:
    path = written(tmp_path / "reports.jsonl", rows("generated", "reference", "subject_id"))
    (tmp_path / "reports.meta.json").write_text(json.dumps({"dataset": "phantom"}))
    assert main(["score", str(path), "--bootstrap", "50", "--no-meteor", "--quiet", "--no-page"]) == 0
    asked = json.loads((tmp_path / "scores.json").read_text())
    assert evaluate(path, resamples=50, with_meteor=False) == asked
    assert evaluate(str(path), resamples=50, with_meteor=False) == asked
    texts = evaluate(
        GENERATED, references=REFERENCES, patients=PATIENTS, dataset="phantom", resamples=50, with_meteor=False
    )
    assert (texts["meta"].pop("dataset_from"), asked["meta"].pop("dataset_from")) == (
        "as the caller says",
        "as reports.meta.json says",
    )
    assert (texts["meta"].pop("reports"), asked["meta"].pop("reports")) == ("reports", "reports.jsonl")
    assert {key: texts[key] for key in ("full", "r2gen", "studies", "guards", "meta")} == {
        key: asked[key] for key in ("full", "r2gen", "studies", "guards", "meta")
    }


def test_references_may_lie_in_another_file(tmp_path: Path) -> None:
    reports = written(tmp_path / "mine.jsonl", rows("generated"))
    references = written(tmp_path / "references.jsonl", rows("reference"))
    found = evaluate(reports, references=references, resamples=0, with_meteor=False)
    whole = evaluate(GENERATED, references=REFERENCES, resamples=0, with_meteor=False)
    assert found["full"] == whole["full"]
    assert found["meta"]["patients"] == 24


def test_columns_may_be_a_dictionary(tmp_path: Path) -> None:
    known = rows("generated", "reference")
    fields = [{"study": row["study_id"], "said": row["generated"], "reference": row["reference"]} for row in known]
    reports = written(tmp_path / "mine.jsonl", fields)
    asked, text = (
        evaluate(reports, columns=columns, resamples=0, with_meteor=False)
        for columns in ({"id": "study", "text": "said"}, "id=study,text=said")
    )
    assert asked == text
    studies = per_study(reports, columns={"id": "study", "text": "said"})
    assert studies["study_id"].tolist() == [row["study_id"] for row in known]
    with pytest.raises(
        ScoringError, match=r"mine.jsonl, line 1: no field 'study_id'; found study, said, reference. Name"
    ):
        evaluate(reports, columns=None)


def test_texts_of_any_kind_give_the_same_scores() -> None:
    pandas = pytest.importorskip("pandas")
    fixed: dict[str, Any] = {"resamples": 0, "with_meteor": False, "train_texts": iter(REFERENCES)}
    listed = evaluate(GENERATED, references=REFERENCES, patients=PATIENTS, **fixed)
    ids = range(24, 0, -1)  # labels that are places of other texts
    series = [pandas.Series(texts, index=ids) for texts in (GENERATED, REFERENCES, PATIENTS)]
    assert (
        evaluate(series[0], references=series[1], patients=series[2], **fixed | {"train_texts": REFERENCES}) == listed
    )
    fixed["train_texts"] = pandas.Series(REFERENCES, index=ids)
    assert evaluate(iter(GENERATED), references=tuple(REFERENCES), patients=(p for p in PATIENTS), **fixed) == listed
    assert per_study(series[0], references=REFERENCES).equals(per_study(GENERATED, references=REFERENCES))
    reports, references, patients = (dict(zip(ids, texts, strict=True)) for texts in (GENERATED, REFERENCES, PATIENTS))
    references = dict(reversed(references.items()))
    named = evaluate(reports, references=references, patients=patients, **fixed)
    assert named["full"]["cider"]["value"] == pytest.approx(listed["full"]["cider"]["value"], abs=1e-12)
    table = per_study(reports, references=references, patients=patients)
    assert table["study_id"].tolist() == sorted(map(str, ids))
    assert table["subject_id"].tolist() == [patients[int(study_id)] for study_id in table["study_id"]]


def test_texts_that_do_not_belong_together_are_told() -> None:
    pandas = pytest.importorskip("pandas")
    texts = ["No effusion.", "No pneumothorax."]
    for references, message in (
        ({"a": texts[0], "c": texts[1]}, r"reports and references differ in 2 study ids \(first: b\)"),
        (texts, "references: no dictionary, but others are"),
    ):
        with pytest.raises(ScoringError, match=message):
            evaluate(dict(zip("ab", texts, strict=True)), references=references)
    with pytest.raises(ScoringError, match="reports and references: Series whose labels differ"):
        evaluate(pandas.Series(texts, index=[0, 1]), references=pandas.Series(texts, index=[1, 0]))


def test_other_systems_are_compared(tmp_path: Path) -> None:
    ours = written(tmp_path / "ours.jsonl", rows("generated", "reference"))
    other = [row | {"generated": REFERENCES[0]} for row in rows("reference")]
    theirs = written(tmp_path / "theirs.jsonl", other)
    found = evaluate(ours, against=[theirs], resamples=20, with_meteor=False)
    assert set(found["comparisons"]) == {"theirs"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reports": ["a"], "references": ["a", "b"]}, "1 reports and 2 references: give one of each"),
        ({"reports": ["a"], "references": ["a"], "patients": []}, "1 reports and 1 references and 0 patients"),
        ({"reports": ["a", "b"], "references": ["a", " "]}, "reports[1]: study 1 has an empty reference"),
        ({"reports": ["a", 7], "references": ["a", "b"]}, "reports[1]: field 'generated' is 7; it must be text"),
        ({"reports": "a.csv", "columns": {"name": "study"}}, "--columns: 'name=study' names no column"),
        ({"reports": "a.csv", "columns": {"id": None}}, "--columns: 'id' names no column"),
        ({"reports": "a.csv", "columns": {"id": "x", "text": "x"}}, "--columns: 'text=x' repeats a word or a column"),
        ({"reports": [], "references": []}, "there is nothing to score"),
        ({"reports": ["a"]}, "a list of reports takes a list of references"),
        ({"reports": ["a"], "references": "references.csv"}, "a list of reports takes a list of references"),
        ({"reports": ["a"], "references": ["a"], "against": ["b.csv"]}, "no files to compare with"),
        ({"reports": "a.csv", "references": ["a"]}, "a list of references go with a list of reports"),
        ({"reports": "a.csv", "patients": ["a"]}, "patients and a list of references go with a list of reports"),
        ({"reports": "gone.csv"}, "gone.csv: no such file"),
        ({"reports": ["a"], "references": ["a"], "resamples": -1}, "resamples=-1"),
        ({"reports": ["a"], "references": ["a"], "protocols": ["r2gen"]}, "no data set is given"),
    ],
)
def test_what_cannot_be_scored_is_told(arguments: dict[str, Any], message: str) -> None:
    reports = arguments.pop("reports")
    with pytest.raises(ScoringError, match=re.escape(message)):
        evaluate(reports, **arguments)


def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(from ammrg import evaluate\n.*?)```", page, re.DOTALL)
    exec(code, {})
    cider, f1 = map(float, capsys.readouterr().out.split())
    assert cider > 0
    assert f1 == 1.0
