"""CIDEr with the idf of each resample, against pycocoevalcap on the corpus drawn out."""

from __future__ import annotations

import random

import numpy as np
import pytest
from pycocoevalcap.cider.cider_scorer import CiderScorer

from ammrg.metrics.bootstrap import patient_weights
from ammrg.metrics.cider import cider
from ammrg.metrics.language import language_statistics
from ammrg.metrics.ngrams import PairedTexts
from ammrg.metrics.resampled_idf import idf_difference

WORDS = ("the", "lungs", "are", "clear", "no", "effusion", "–", "heart", "heart", ".")


def texts(count: int, seed: int, least: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(least, 14))) for _ in range(count)]


def coco(references: list[str], hypotheses: list[str]) -> float:
    scorer = CiderScorer(n=4)
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        scorer += (hypothesis, [reference])
    return float(scorer.compute_score()[0])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equals_pycocoevalcap_on_the_resample(seed: int) -> None:
    references, hypotheses = texts(30, seed), texts(30, seed + 10, least=0)
    weights = patient_weights([str(i // 2) for i in range(30)], 5, seed)
    rows = np.concatenate([np.ones((1, 30)), weights])
    for row, values in zip(rows, cider(PairedTexts(references, hypotheses), rows), strict=True):
        drawn = np.repeat(np.arange(30), row.astype(int))
        expected = coco([references[i] for i in drawn], [hypotheses[i] for i in drawn])
        assert row @ values / row.sum() == pytest.approx(expected, abs=1e-9)


def test_the_difference_is_between_recomputed_and_fixed() -> None:
    references, hypotheses = texts(40, 5), texts(40, 6)
    weights = patient_weights([str(i) for i in range(40)], 50)
    found = idf_difference(references, hypotheses, weights)
    fixed = weights @ language_statistics(references, hypotheses).cider / 40
    recomputed = [
        coco([references[i] for i in drawn], [hypotheses[i] for i in drawn])
        for drawn in (np.repeat(np.arange(40), row.astype(int)) for row in weights)
    ]
    assert found["fixed_sd"] == pytest.approx(fixed.std())
    assert found["recomputed_sd"] == pytest.approx(np.std(recomputed))
    assert found["mean_difference"] == pytest.approx(np.mean(recomputed - fixed))
    assert found["largest_difference"] == pytest.approx(np.abs(recomputed - fixed).max())
    assert found["largest_difference"] > 0


@pytest.mark.parametrize("said", ["", "elsewhere entirely"])
def test_texts_that_share_nothing_score_nothing(said: str) -> None:
    """And do not stop the scores of a network that says nothing, or nothing that it should."""
    found = idf_difference(texts(20, 5), [said] * 20, patient_weights([str(i) for i in range(20)], 5))
    assert {key: value for key, value in found.items() if key != "resamples"} == dict.fromkeys(
        ("fixed_sd", "recomputed_sd", "mean_difference", "largest_difference"), 0.0
    )
