"""Each pair's own BLEU counts, ROUGE-L and CIDEr against pycocoevalcap's scorers, on drawn reports and odd texts."""

from __future__ import annotations

import numpy as np
import pytest
from pycocoevalcap.bleu.bleu_scorer import BleuScorer
from pycocoevalcap.cider.cider_scorer import CiderScorer
from pycocoevalcap.rouge.rouge import Rouge, my_lcs

from ammrg.metrics.language import language_statistics
from ammrg.metrics.ngrams import ORDERS, PairedTexts, ngrams
from ammrg.metrics.rouge import common_subsequence, rouge_l
from ammrg.text.cleaning import normalise
from datamodules.sources.phantom.plan import plan_study
from datamodules.sources.phantom.sentences import write_report

PLANS = [plan_study("test", number) for number in range(60)]
REFERENCES = [normalise(write_report(plan).findings) for plan in PLANS]
REWORDED = [normalise(write_report(plan._replace(seed=(1, *plan.seed))).findings) for plan in PLANS]
ODD = [
    ("the lungs are clear .", ""),
    ("clear", "clear"),
    ("clear", "opacity"),
    ("no no no no no no no", "no no no"),
    ("no no no", "no no no no no no no"),
    ("a b a b a b c", "b a b a c c a"),
    ("größe des herzens ½ ☃ ☃", "☃ größe ½ ½"),
    ("心 影 不 大", "心 影 不 大"),
    ("heart  is   normal", "heart is  normal"),
    ("heart\u00a0is normal", "heart is normal"),
    (" heart is\tnormal ", "\nheart"),
    ("lungs are clear and the heart is normal", "xray"),
]
CORPORA = {
    "reports": (REFERENCES, REWORDED),
    "equal": (REFERENCES[:9], REFERENCES[:9]),
    "odd": tuple(zip(*ODD, strict=True)),
    "reports and odd": ([*REFERENCES, *(pair[0] for pair in ODD)], [*REWORDED, *(pair[1] for pair in ODD)]),
    **{f"alone: {reference!r}": ([reference], [hypothesis]) for reference, hypothesis in ODD},
}


@pytest.mark.parametrize("name", CORPORA)
def test_every_pair_has_the_statistics_of_pycocoevalcap(name: str) -> None:
    references, hypotheses = CORPORA[name]
    found = language_statistics(references, hypotheses)
    bleu, cider = BleuScorer(n=ORDERS), CiderScorer(n=ORDERS)
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        bleu += (hypothesis, [reference])
        cider += (hypothesis, [reference])
    assert found.correct.tolist() == [entry["correct"] for entry in bleu.ctest]
    assert found.guessed.tolist() == [entry["guess"] for entry in bleu.ctest]
    assert found.hypothesis_length.tolist() == [entry["testlen"] for entry in bleu.ctest]
    assert found.reference_length.tolist() == [entry["reflen"][0] for entry in bleu.ctest]
    assert found.cider == pytest.approx(cider.compute_score()[1], rel=0, abs=1e-12)
    rouge = [Rouge().calc_score([said], [text]) for text, said in zip(references, hypotheses, strict=True)]
    assert found.rouge_l.tolist() == rouge


def test_some_pairs_are_alike_and_some_are_not() -> None:
    """Else the comparison above would show nothing."""
    found = language_statistics(REFERENCES, REWORDED)
    assert found.cider.std() > 0.05
    assert 0.3 < found.rouge_l.mean() < 0.8
    assert (found.correct[:, 3] > 0).mean() > 0.5


def test_arrays_hold_the_ngrams_of_each_text() -> None:
    references, hypotheses = CORPORA["reports and odd"]
    texts = PairedTexts(references, hypotheses)
    counts = [ngrams(text) for text in (*references, *hypotheses)]
    assert texts.lengths.tolist() == [len(text.split()) for text in (*references, *hypotheses)]
    for k, found in enumerate(texts.orders(), start=1):
        # An n-gram is known by its texts and counts: in arrays and in words there must be the same ones.
        by_number: dict[int, dict[int, float]] = {}
        for side, first in ((found.reference, 0), (found.hypothesis, texts.pairs)):
            for text, gram, count in zip(*(part.tolist() for part in side), strict=True):
                by_number.setdefault(gram, {})[first + text] = count
        by_words: dict[tuple[str, ...], dict[int, float]] = {}
        for text, grams in enumerate(counts):
            for words in (words for words in grams if len(words) == k):
                by_words.setdefault(words, {})[text] = grams[words]
        numbered, worded = (sorted(sorted(each.items()) for each in known.values()) for known in (by_number, by_words))
        assert numbered == worded
        assert found.grams == len(by_words)
        ours, theirs = found.shared
        assert (found.hypothesis.gram[ours] == found.reference.gram[theirs]).all()
        assert (found.hypothesis.text[ours] == found.reference.text[theirs]).all()
        pairs = zip(counts[: texts.pairs], counts[texts.pairs :], strict=True)
        shared = [words for reference, hypothesis in pairs for words in reference.keys() & hypothesis.keys()]
        assert len(ours) == sum(len(words) == k for words in shared)
    assert k == ORDERS


@pytest.mark.parametrize(("first", "second"), [(a.split(" "), b.split(" ")) for a, b in ODD])
def test_the_longest_common_subsequence_is_that_of_a_table(first: list[str], second: list[str]) -> None:
    assert common_subsequence(first, second) == common_subsequence(second, first) == my_lcs(first, second)


def test_a_common_subsequence_longer_than_a_machine_word() -> None:
    draw = np.random.default_rng(0)
    for length in (63, 64, 65, 300):
        first, second = (list(map(str, draw.integers(6, size=size))) for size in (length, length + 9))
        assert common_subsequence(first, second) == my_lcs(first, second)
    assert common_subsequence([], ["a"]) == common_subsequence(["a"], []) == 0


def test_rouge_of_texts_without_a_common_word_is_zero() -> None:
    assert rouge_l("clear lungs", "opacity") == 0.0
    assert rouge_l("clear lungs", "") == 0.0
