"""BLEU-1..4, ROUGE-L and CIDEr as pycocoevalcap defines them, computed by its own scorers.

The scorers give each study's contribution. The corpus value under any weighting of the studies (all ones, or bootstrap
counts) is then a matrix product. CIDEr is CIDEr-D with the idf of the evaluated references; a resample keeps the idf
of the whole reference set.

Texts are words separated by single spaces: clean them first (``ammrg.text.cleaning.normalise`` or ``r2gen``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocoevalcap.bleu.bleu_scorer import BleuScorer
from pycocoevalcap.cider.cider_scorer import CiderScorer
from pycocoevalcap.rouge.rouge import Rouge

from ammrg.errors import ScoringError

Floats = NDArray[np.float64]

ORDERS = 4
KEYS = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "rouge_l", "cider")

# BleuScorer's own guards against 0/0; without them the corpus value would differ in the tenth digit.
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
    check_pairs(references, hypotheses)
    bleu, cider, rouge = BleuScorer(n=ORDERS), CiderScorer(n=ORDERS), Rouge()
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        bleu += (hypothesis, [reference])
        cider += (hypothesis, [reference])
    counts = bleu.ctest
    overlap = [rouge.calc_score([h], [r]) for r, h in zip(references, hypotheses, strict=True)]
    return LanguageStatistics(
        correct=np.array([entry["correct"] for entry in counts], dtype=np.float64),
        guessed=np.array([entry["guess"] for entry in counts], dtype=np.float64),
        hypothesis_length=np.array([entry["testlen"] for entry in counts], dtype=np.float64),
        reference_length=np.array([entry["reflen"][0] for entry in counts], dtype=np.float64),
        rouge_l=np.array(overlap, dtype=np.float64),
        cider=np.asarray(cider.compute_score()[1], dtype=np.float64),
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


def ngrams(text: str) -> Counter[tuple[str, ...]]:
    """How often each n-gram of order 1..4 occurs in a text of words and spaces."""
    words = text.split()
    return Counter(tuple(words[i : i + k]) for k in range(1, ORDERS + 1) for i in range(len(words) - k + 1))


def check_pairs(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    """Check that corpus scores are defined for these pairs.

    Raises:
        ScoringError: if the lengths differ, there are no pairs, or a reference is empty.
    """
    if len(references) != len(hypotheses):
        raise ScoringError(f"{len(references)} references, but {len(hypotheses)} hypotheses; give one for each.")
    if not references:
        raise ScoringError("no texts to score.")
    empty = [i for i, text in enumerate(references) if not text.strip()]
    if empty:
        raise ScoringError(f"reference {empty[0]} (and {len(empty) - 1} more) is empty; leave such studies out.")
