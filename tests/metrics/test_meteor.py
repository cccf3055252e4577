"""METEOR against the jar's own corpus value."""

from __future__ import annotations

import random

import numpy as np
import pytest

from ammrg.errors import ScoringError
from ammrg.metrics import meteor

WORDS = ("the", "lungs", "lung", "are", "clear", "clearing", "no", "effusion", "heart", "cardiac", "is", "normal", ".")


def texts(count: int, seed: int, least: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(least, 20))) for _ in range(count)]


@pytest.mark.slow
@pytest.mark.skipif(not meteor.MeteorScorer.available(), reason="no java")
def test_equals_the_jar_with_studies_repeated() -> None:
    references, hypotheses = texts(12, 5), [*texts(10, 6), "", "the heart is normal ."]
    weights = np.vstack([np.ones(12), np.random.default_rng(0).integers(0, 4, size=(2, 12))])
    with meteor.MeteorScorer() as scorer:
        found = meteor.weighted_scores(scorer.statistics(references, hypotheses), weights)["meteor"]
        for row, value in zip(weights, found, strict=True):
            drawn = np.repeat(np.arange(12), row.astype(int)).tolist()
            golds = {i: [references[k]] for i, k in enumerate(drawn)}
            of_the_jar, _ = scorer._scorer.compute_score(golds, {i: [hypotheses[k]] for i, k in enumerate(drawn)})
            assert value == pytest.approx(of_the_jar, abs=1e-9)
        same = scorer.statistics(references, references)
    assert meteor.weighted_scores(same, np.eye(12))["meteor"] == pytest.approx(np.ones(12))


def test_without_java_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor.shutil, "which", lambda _: None)
    assert not meteor.MeteorScorer.available()
    with pytest.raises(ScoringError, match="java"):
        meteor.MeteorScorer().__enter__()
