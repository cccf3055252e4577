"""METEOR against pycocoevalcap's own scorer, which reads the whole paraphrase table."""

from __future__ import annotations

import random

import numpy as np
import pytest
from pycocoevalcap.meteor.meteor import Meteor

from ammrg.errors import ScoringError
from ammrg.metrics import meteor
from datamodules.sources.phantom.plan import plan_study
from datamodules.sources.phantom.sentences import write_report

WORDS = ("the", "lungs", "lung", "are", "clear", "clearing", "no", "effusion", "heart", "cardiac", "is", "normal", ".")


def texts(count: int, seed: int, least: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(least, 20))) for _ in range(count)]


@pytest.mark.slow
@pytest.mark.skipif(not meteor.MeteorScorer.available(), reason="no java")
def test_equals_the_jar_with_studies_repeated() -> None:
    references, hypotheses = texts(12, 5), [*texts(10, 6), "", "the heart is normal ."]
    weights = np.vstack([np.ones(12), np.random.default_rng(0).integers(0, 4, size=(2, 12))])
    of_the_jar = Meteor()
    with meteor.MeteorScorer({*references, *hypotheses}) as scorer:
        found = meteor.weighted_scores(scorer.statistics(references, hypotheses), weights)["meteor"]
        for row, value in zip(weights, found, strict=True):
            drawn = np.repeat(np.arange(12), row.astype(int)).tolist()
            golds = {i: [references[k]] for i, k in enumerate(drawn)}
            expected, _ = of_the_jar.compute_score(golds, {i: [hypotheses[k]] for i, k in enumerate(drawn)})
            assert value == pytest.approx(expected, abs=1e-9)
        same = scorer.statistics(references, references)
    assert meteor.weighted_scores(same, np.eye(12))["meteor"] == pytest.approx(np.ones(12))


@pytest.mark.slow
@pytest.mark.skipif(not meteor.MeteorScorer.available(), reason="no java")
@pytest.mark.parametrize("mark", ["", " 5 \N{DEGREE SIGN}"])
def test_the_usable_paraphrases_give_every_count_of_the_whole_table(mark: str) -> None:
    """Also where marks part words, and in texts beyond ASCII."""
    written = [write_report(plan_study("test", i, 0)).findings for i in range(300)]
    marked = ["The patient's X-ray can't be compared; no pleural-effusion.", "Is it T11, or 1.5 cm below? (e.g. edema)"]
    references = [*written, *marked, f"In comparison with the prior study, there has been no change{mark}."]
    hypotheses = [*written[1:], *marked[::-1], written[0], "Compared to the previous exam nothing has changed."]
    of_the_jar = Meteor()
    expected = [of_the_jar._stat(said, [text]).split() for text, said in zip(references, hypotheses, strict=True)]
    with meteor.MeteorScorer({*references, *hypotheses}) as scorer:
        found = scorer.statistics(references, hypotheses).counts
    assert found.tolist() == [[float(number) for number in row] for row in expected]
    assert found[:, 16:20].any()  # paraphrases were matched


def test_a_text_that_was_not_told_is_refused() -> None:
    with pytest.raises(ScoringError, match="'edema'"):
        meteor.MeteorScorer(["no edema"]).statistics(["no edema"], ["edema"])


def test_without_java_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor.shutil, "which", lambda _: None)
    assert not meteor.MeteorScorer.available()
    with pytest.raises(ScoringError, match="java"):
        meteor.MeteorScorer([]).__enter__()
