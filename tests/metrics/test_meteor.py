"""METEOR against the jar's own corpus value."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ammrg.errors import ScoringError
from ammrg.metrics import meteor

WORDS = ("the", "lungs", "lung", "are", "clear", "clearing", "no", "effusion", "heart", "cardiac", "is", "normal", ".")
needs_java = pytest.mark.skipif(not meteor.MeteorScorer.available(), reason="no java")


def texts(count: int, seed: int, least: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(least, 20))) for _ in range(count)]


def of_the_jar(references: list[str], hypotheses: list[str]) -> float:
    from pycocoevalcap.meteor.meteor import Meteor

    value, _ = Meteor().compute_score(
        {i: [text] for i, text in enumerate(references)}, {i: [text] for i, text in enumerate(hypotheses)}
    )
    return float(value)


@needs_java
def test_equals_the_jar_with_studies_repeated() -> None:
    references, hypotheses = texts(12, 5), [*texts(10, 6), "", "the heart is normal ."]
    weights = np.vstack([np.ones(12), np.random.default_rng(0).integers(0, 4, size=(2, 12))])
    with meteor.MeteorScorer() as scorer:
        statistics = scorer.statistics(references, hypotheses)
        same = scorer.statistics(references, references)
    found = meteor.weighted_scores(statistics, weights)["meteor"]
    for row, value in zip(weights, found, strict=True):
        drawn = np.repeat(np.arange(12), row.astype(int))
        expected = of_the_jar([references[i] for i in drawn], [hypotheses[i] for i in drawn])
        assert value == pytest.approx(expected, abs=1e-9)
    perfect = meteor.weighted_scores(same, np.eye(12))["meteor"]
    assert perfect == pytest.approx(np.ones(12))


def test_without_java_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor.shutil, "which", lambda _: None)
    assert not meteor.MeteorScorer.available()
    with pytest.raises(ScoringError, match="java"):
        meteor.MeteorScorer().__enter__()
