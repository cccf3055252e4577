"""BLEU, ROUGE-L and CIDEr against pycocoevalcap's own top-level scorers."""

from __future__ import annotations

import contextlib
import io
import random

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from ammrg.errors import ScoringError
from ammrg.metrics import language
from ammrg.metrics.constant import ConstantScorer

WORDS = [
    "the",
    "lungs",
    "are",
    "clear",
    "no",
    "effusion",
    "or",
    "pneumothorax",
    "heart",
    "size",
    "normal",
    ".",
    ",",
    "opacity",
    "left",
    "lower",
    "lobe",
]


def random_texts(n: int, seed: int, low: int = 1, high: int = 30) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(low, high))) for _ in range(n)]


def coco(references: list[str], hypotheses: list[str]) -> dict[str, float]:
    gts = {i: [text] for i, text in enumerate(references)}
    res = {i: [text] for i, text in enumerate(hypotheses)}
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, _ = Bleu(4).compute_score(gts, res)
    scores = {f"bleu_{k + 1}": value for k, value in enumerate(bleu)}
    return {**scores, "rouge_l": Rouge().compute_score(gts, res)[0], "cider": Cider().compute_score(gts, res)[0]}


ODD = {
    "empty hypothesis": (["clear lungs here", "no effusion seen today"], ["", "no effusion seen"]),
    "all empty": (["clear lungs", "no effusion"], ["", ""]),
    "unicode": (["½ größe ☃ ☃ lungs", "no effusion"], ["☃ größe ½", "no effusion"]),
    "repeated words": (["no no no no no", "clear clear lungs"], ["no no no", "clear clear clear clear clear clear"]),
    "identical references": (["lungs are clear ."] * 4, ["lungs are clear .", "lungs", "clear", "opacity"]),
    "one pair": (["lungs are clear ."], ["lungs are not clear ."]),
    "short": (["clear", "normal"], ["clear", "abnormal"]),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_pairs_equal_pycocoevalcap(case: str) -> None:
    references, hypotheses = ODD[case]
    found = language.language_scores(references, hypotheses)
    assert found == pytest.approx(coco(references, hypotheses), abs=1e-9)
    assert tuple(found) == language.KEYS


def test_500_random_pairs_equal_pycocoevalcap() -> None:
    references, hypotheses = random_texts(500, 0), random_texts(500, 1, low=0)
    assert language.language_scores(references, hypotheses) == pytest.approx(coco(references, hypotheses), abs=1e-9)


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    language.language_scores(["clear lungs"], ["clear"])
    assert capsys.readouterr().out == ""


def test_weights_are_repeats() -> None:
    """Weighted BLEU and ROUGE-L are those of the corpus with studies repeated; CIDEr keeps the idf of the full set."""
    references, hypotheses = random_texts(12, 2), random_texts(12, 3)
    weights = np.random.default_rng(0).integers(0, 4, size=(1, 12)).astype(float)
    index = np.repeat(np.arange(12), weights[0].astype(int))
    repeated = coco([references[i] for i in index], [hypotheses[i] for i in index])
    statistics = language.language_statistics(references, hypotheses)
    weighted = language.weighted_scores(statistics, weights)
    for key in ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l"):
        assert weighted[key][0] == pytest.approx(repeated[key], abs=1e-9)
    assert weighted["cider"][0] == pytest.approx(statistics.cider[index].mean(), abs=1e-12)


@pytest.mark.parametrize(
    "hypothesis", ["the lungs are clear .", "clear", "", "unknown words only", "no no no no no no"]
)
def test_constant_scorer_equals_pycocoevalcap(hypothesis: str) -> None:
    references = random_texts(60, 4)
    bleu, cider = ConstantScorer(references).score(hypothesis)
    expected = coco(references, [hypothesis] * 60)
    assert (bleu, cider) == pytest.approx((expected["bleu_4"], expected["cider"]), abs=1e-9)


@pytest.mark.parametrize(
    ("references", "hypotheses", "message"),
    [(["a"], [], "1 references, but 0"), ([], [], "no texts"), (["a", " "], ["a", "b"], "reference 1 .*empty")],
)
def test_refuses_what_cannot_be_scored(references: list[str], hypotheses: list[str], message: str) -> None:
    with pytest.raises(ScoringError, match=message):
        language.language_scores(references, hypotheses)
