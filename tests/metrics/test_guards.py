from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from ammrg.errors import DataError, ScoringError
from ammrg.findings import FINDINGS, NO_FINDING
from ammrg.metrics import guards
from ammrg.metrics.language import language_scores
from ammrg.text.cleaning import r2gen
from ammrg.text.labeler import label
from ammrg.text.places import Place, finding_places

RAW = Path(os.environ.get("AMMRG_IU_XRAY", Path(__file__).parents[2].parent / "shared/data/iu_xray"))


def test_best_constant_is_the_best_of_all_candidates() -> None:
    train = ["Lungs clear. No effusion."] * 3 + ["Heart normal. Lungs clear."] * 2 + ["Large mass.", ""]
    validation = ["Heart normal. Lungs clear. No effusion.", "Heart normal. Lungs clear."]
    found = guards.best_constant(train, validation)
    assert set(found) == {"bleu4", "cider"}
    from ammrg.text.cleaning import normalise

    references = [normalise(text) for text in validation]
    for name, key in (("bleu4", "bleu_4"), ("cider", "cider")):
        scores = {text: language_scores(references, [normalise(text)] * 2)[key] for text in set(train) if text}
        assert scores[found[name]] == pytest.approx(max(scores.values()))


def test_best_constant_tries_the_most_frequent_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "CANDIDATES", 1)
    found = guards.best_constant(["Lungs are clear.", "Lungs are clear.", "Heart is normal."], ["Heart is normal."] * 2)
    assert set(found.values()) == {"Lungs are clear."}


@pytest.mark.parametrize(("train", "validation"), [([], ["a"]), (["a"], []), ([""], ["a"])])
def test_best_constant_needs_texts(train: list[str], validation: list[str]) -> None:
    with pytest.raises(ScoringError, match="empty"):
        guards.best_constant(train, validation)


def test_random_training_is_seeded_and_draws_from_all() -> None:
    reports = [str(i) for i in range(50)]
    drawn = guards.random_training(reports, 400, seed=3)
    assert drawn == guards.random_training(reports, 400, seed=3) != guards.random_training(reports, 400, seed=4)
    assert len(set(drawn)) == 50
    with pytest.raises(ScoringError):
        guards.random_training([], 1, 0)


def test_nearest_equals_a_plain_search() -> None:
    draw = np.random.default_rng(0)
    train, features = draw.normal(size=(40, 5)).astype(np.float32), draw.normal(size=(13, 5)).astype(np.float32)
    expected = [
        max(range(40), key=lambda j: float(row @ train[j] / np.linalg.norm(row) / np.linalg.norm(train[j])))
        for row in features
    ]
    found = guards.nearest(train, features)
    assert found.tolist() == expected
    assert found.dtype == np.int64
    with pytest.raises(ScoringError, match="features"):
        guards.nearest(train, features[:, :4])


def test_a_template_says_what_is_predicted_where_it_is_known() -> None:
    left, right = Place(frozenset({"left"}), frozenset({"upper"})), Place(frozenset({"right"}))
    predicted = [[name in ("Edema", "Pneumonia", "No Finding") for name in FINDINGS], [False] * 14]
    texts = guards.template_reports(predicted, [{"Pneumonia": left, "Fracture": right}, {"Fracture": right}])
    assert [finding_places(text) for text in texts] == [{"Edema": Place(), "Pneumonia": left}, {}]
    with pytest.raises(ValueError, match="shorter"):
        guards.template_reports(predicted, [{}])


def rows(shares: list[float]) -> list[list[float]]:
    table = [[math.nan] * 14 for _ in shares]
    for row, value in zip(table, shares, strict=True):
        row[NO_FINDING] = value
    return table


def test_a_collapse_is_said_in_words() -> None:
    references = [f"study {i} shows nothing" for i in range(120)]
    figures = guards.collapse(references, ["Clear."] * 120, rows([1, math.nan] * 60), rows([1] * 120))
    assert (figures.reports, figures.distinct, figures.no_finding, figures.no_finding_reference) == (120, 1, 1.0, 0.5)
    assert figures.length_ratio == pytest.approx(1 / 4)
    said = guards.warnings(figures)
    assert said[0] == "ONE TEXT FOR ALL: all 120 reports are the same."
    assert any("No Finding" in sentence for sentence in said)
    assert any("0.25 times as long" in sentence for sentence in said)


def test_few_different_texts_are_said_from_20_reports_on() -> None:
    def said(reports: int, distinct: int) -> list[str]:
        texts = [f"study {i % distinct} shows nothing" for i in range(reports)]
        return guards.warnings(guards.collapse(texts, texts, rows([1] * reports), rows([1] * reports)))

    assert said(40, 3) == ["FEW DIFFERENT TEXTS: only 3 of 40 reports are different."]
    assert said(40, 4) == said(19, 2) == []


def test_healthy_reports_give_no_warning() -> None:
    texts = [f"study {i} shows nothing" for i in range(30)]
    assert guards.warnings(guards.collapse(texts, texts[::-1], rows([1] * 30), rows([1] * 30))) == []


def test_empty_reports_are_counted() -> None:
    figures = guards.collapse(["clear lungs", "clear"], ["", "clear lungs today"], rows([1, 1]), rows([math.nan, 1]))
    assert any("1 of 2 reports are empty" in sentence for sentence in guards.warnings(figures))


def test_reports_that_name_no_finding_are_told_from_normal_ones() -> None:
    references = ["Lungs are clear. No pleural effusion."] * 4 + ["Large left pleural effusion."]
    nonsense = ["the the lung of the"] * 3 + references[3:]
    labels = [[label(text) for text in texts] for texts in (references, nonsense)]
    assert [row[NO_FINDING] for row in labels[1]] == pytest.approx([1, 1, 1, 1, math.nan], nan_ok=True)
    figures = guards.collapse(references, nonsense, *labels)
    assert (figures.silent, figures.silent_reference) == (0.6, 0.0)
    said = "SAYS NOTHING: 60% of the reports, but 0% of the references, name no finding at all"
    assert any(sentence.startswith(said) for sentence in guards.warnings(figures))
    assert not any(
        "SAYS" in sentence for sentence in guards.warnings(guards.collapse(references, references, *2 * labels[:1]))
    )


@pytest.mark.skipif(not (RAW / "annotation.json").is_file(), reason="the IU X-Ray data are not here")
def test_the_published_figures_of_a_constant_report_on_iu_xray() -> None:
    """R2Gen cleaning, whole references, 295 test studies: what any system must beat."""
    annotation = json.loads((RAW / "annotation.json").read_text(encoding="utf-8"))
    texts = {split: [r2gen(row["report"], "iu_xray") for row in rows] for split, rows in annotation.items()}
    assert len(texts["test"]) == 295
    assert sum(text in set(texts["train"]) for text in texts["test"]) == 139
    found = guards.best_constant(texts["train"], texts["val"], view=str)
    expected = {
        "cider": (0.495, 0.313, 0.221, 0.161, 0.375, 0.544),
        "bleu4": (0.485, 0.307, 0.213, 0.160, 0.370, 0.367),
    }
    for name, figures in expected.items():
        scores = language_scores(texts["test"], [found[name]] * 295)
        assert tuple(round(value, 3) for value in scores.values()) == figures


def test_exchanged_reports_are_other_patients() -> None:
    """Neighbouring studies of one patient would otherwise get each other's, which say much the same."""
    patients = [f"p{patient}" for patient in (0, 0, 0, 0, 1, 2, 2, 2, 3, 3) for _ in range(2)]
    given = guards.exchanged([f"{patient} {row}" for row, patient in enumerate(patients)], patients)
    assert all(text.split()[0] != patient for text, patient in zip(given, patients, strict=True))
    assert len(set(given)) == len(given)
    with pytest.raises(DataError, match="the scored studies: 2 of 1 patient"):
        guards.exchanged(["a", "b"], ["p", "p"])
