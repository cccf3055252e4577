"""BLEU-1..4, ROUGE-L and CIDEr as pycocoevalcap defines them; the tests compare with its scorers.

Each study's contribution is counted once, for all studies together (:mod:`ammrg.metrics.ngrams`). The corpus value
under any weighting of the studies (all ones, or bootstrap counts) is then a matrix product. CIDEr is CIDEr-D with the
idf of the evaluated references; a resample keeps the idf of the whole reference set.

Texts are words separated by single spaces: clean them first (``ammrg.text.cleaning.normalise`` or ``r2gen``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.metrics.cider import Similarity, of_similarities
from ammrg.metrics.ngrams import ORDERS, PairedTexts
from ammrg.metrics.rouge import rouge_l

Floats = NDArray[np.float64]

KEYS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider")

# pycocoevalcap's own guards against 0/0; without them the corpus value would differ in the tenth digit.
_TINY, _SMALL = 1e-15, 1e-9


class LanguageStatistics(NamedTuple):
    """Each study's contribution to the corpus scores, n studies."""

    correct: Floats
    """``[n 4]``: n-grams of order 1..4 that are also in the reference, clipped."""
    guessed: Floats
    """``[n 4]``: n-grams of order 1..4 in the hypothesis."""
    hypothesis_length: Floats
    """``[n]`` words."""
    reference_length: Floats
    """``[n]`` words."""
    rouge_l: Floats
    """``[n]`` in [0, 1]."""
    cider: Floats
    """``[n]`` in [0, 10]."""


def language_statistics(references: Sequence[str], hypotheses: Sequence[str]) -> LanguageStatistics:
    """Per-study statistics of paired texts, with one reference each.

    Raises:
        ScoringError: if the lengths differ, there are no pairs, or a reference is empty.
    """
    texts = PairedTexts(references, hypotheses)
    n = texts.pairs
    correct, similarity = np.zeros((n, ORDERS)), np.zeros(n)
    for k, ngrams in enumerate(texts.orders()):
        ours, theirs = ngrams.shared
        clipped = np.minimum(ngrams.hypothesis.times[ours], ngrams.reference.times[theirs])
        correct[:, k] = np.bincount(ngrams.hypothesis.text[ours], clipped, minlength=n)
        similarity += Similarity(ngrams, n)(np.ones(n))
    lengths = texts.lengths.astype(np.float64)
    return LanguageStatistics(
        correct=correct,
        guessed=np.maximum(0.0, lengths[n:, None] - np.arange(ORDERS)),
        hypothesis_length=lengths[n:],
        reference_length=lengths[:n],
        rouge_l=np.array(list(map(rouge_l, references, hypotheses))),
        cider=of_similarities(similarity, texts.lengths),
    )


def weighted_scores(statistics: LanguageStatistics, weights: Floats) -> dict[str, Floats]:
    """Corpus scores under study weights ``[r n]`` (ones give the plain score): each of :data:`KEYS` -> ``[r]``."""
    correct, guessed = weights @ statistics.correct, weights @ statistics.guessed
    hypothesis_length, reference_length = weights @ statistics.hypothesis_length, weights @ statistics.reference_length
    precision = np.cumprod((correct + _TINY) / (guessed + _SMALL), axis=1)
    ratio = (hypothesis_length + _TINY) / (reference_length + _SMALL)
    brevity = np.exp(np.minimum(0.0, 1 - 1 / ratio))
    scores = {f"bleu_{k}": precision[:, k - 1] ** (1 / k) * brevity for k in range(1, ORDERS + 1)}
    total = weights.sum(axis=1)
    return {**scores, "rouge_l": weights @ statistics.rouge_l / total, "cider": weights @ statistics.cider / total}


def language_scores(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float]:
    """Corpus BLEU-1..4 ("closest" length), ROUGE-L (beta 1.2) and CIDEr of paired texts.

    Args:
        references: n texts, words separated by spaces, none empty.
        hypotheses: n texts; an empty one scores 0.

    Returns:
        ``bleu_1`` .. ``bleu_4``, ``rouge_l`` in [0, 1] and ``cider`` in [0, 10].

    Raises:
        ScoringError: if the lengths differ, there are no pairs, or a reference is empty.
    """
    statistics = language_statistics(references, hypotheses)
    return {key: float(value[0]) for key, value in weighted_scores(statistics, np.ones((1, len(references)))).items()}
