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
    references = texts(12, 5)
    hypotheses = [*texts(8, 6), *references[8:10], "", "the heart is normal ."]  # two reports are their references
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


COUNTS = (
    (5, 5, 2, 3, 1, 1, 2, 2, *[0] * 12, 2, 3, 3),  # "the heart is enlarged .", "heart is mildly large ."
    # "no pleural effusion or pneumothorax is seen .", "there is no effusion ."
    (5, 8, 4, 4, 1, 1, 3, 3, *[0] * 12, 4, 4, 4),
    (5, 5, 3, 3, 2, 2, 3, 3, *[0] * 12, 1, 5, 5),  # "the lungs are clear .", twice
    (5, 5, 3, 3, 2, 2, 3, 3, *[0] * 12, 2, 5, 5),  # the same words in another order
    (3, 5, 2, 3, 1, 1, 2, 2, *[0] * 12, 1, 3, 3),  # its first three words, in one chunk
    (6, 4, 2, 1, 1, 2, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 2, 4, 4),  # every matcher, invented
)
"""The jar's counts of pairs of a reference and a report."""


@pytest.mark.parametrize(
    ("drawn", "value"),
    [
        ([0], 0.24018024360804488),
        ([0, 1], 0.1920824318901536),
        ([2], 1.0),
        ([3], 0.5004680755588762),
        ([0, 3], 0.3654303425307408),
        # a report that is its reference adds words, but no chunk
        ([2, 2], 1.0),
        ([0, 2], 0.4171579464839523),
        ([0, 1, 2], 0.289936061925539),
        ([0, 2, 2], 0.49484761915614883),
        ([2, 3], 0.5651322017933826),
        ([4], 0.30854468032372717),
        ([0, 4], 0.26986986554933645),
        ([5], 0.465713219928209),
        ([0, 5], 0.35824672492159465),
    ],
)
def test_the_value_of_counts_is_the_jars(drawn: list[int], value: float) -> None:
    statistics = meteor.MeteorStatistics(np.array(COUNTS, dtype=float))
    weights = np.bincount(drawn, minlength=len(COUNTS))[None].astype(float)
    assert meteor.weighted_scores(statistics, weights)["meteor"] == pytest.approx([value], abs=1e-12)


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
