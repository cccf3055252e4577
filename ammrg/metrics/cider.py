"""CIDEr-D of n pairs of texts (Vedantam et al. 2015), with the idf of the references, each counted as often as wanted.

Values equal those of pycocoevalcap's ``CiderScorer`` up to rounding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ammrg.metrics.ngrams import ORDERS, Integers, Occurrences, OrderNGrams, PairedTexts
from ammrg.metrics.quotient import quotient

Floats = NDArray[np.float64]

SIGMA = 6.0
"""CIDEr-D's tolerance for a difference in length, in words."""


class _Sums:
    """Sums of consecutive values that have the same key.

    Args:
        keys: ``[e]``, ascending, from 0.
        size: how many keys there are; those without a value have the sum 0.
    """

    def __init__(self, keys: NDArray[np.int32], size: int) -> None:
        self.starts = np.flatnonzero(np.diff(keys, prepend=-1))
        self.keys, self.size = keys[self.starts], size

    def __call__(self, values: Floats) -> Floats:
        """The sums of ``values [e]``: ``[size]``."""
        sums = np.zeros(self.size)
        if len(self.starts):
            sums[self.keys] = np.add.reduceat(values, self.starts)
        return sums


class _Terms:
    """Values of n-grams, each to be multiplied by the square of its idf and summed for each of n texts."""

    def __init__(self, rows: Occurrences, n: int) -> None:
        self.gram: Integers = rows.gram.astype(np.int64)  # numpy looks up by other integers at a third of the speed
        self.value, self.sums = rows.times, _Sums(rows.text, n)

    def __call__(self, squared_idf: Floats) -> Floats:
        """The sums ``[n]`` for the squared idf of each n-gram ``[grams]``."""
        return self.sums(self.value * squared_idf.take(self.gram))


class Similarity:
    """CIDEr's cosine of n pairs in the n-grams of one order, for any number of times that each reference counts."""

    def __init__(self, ngrams: OrderNGrams, n: int) -> None:
        reference, hypothesis = ngrams.reference, ngrams.hypothesis
        order = np.argsort(reference.gram, kind="stable")
        self.document: Integers = reference.text[order].astype(np.int64)
        """The references that have an n-gram, one n-gram after the other."""
        self.documents = _Sums(reference.gram[order], ngrams.grams)
        ours, theirs = ngrams.shared
        counts = reference.times[theirs]
        clipped = np.minimum(hypothesis.times[ours], counts) * counts
        self.shared = _Terms(Occurrences(hypothesis.text[ours], hypothesis.gram[ours], clipped), n)
        self.norms = [_Terms(side._replace(times=side.times**2), n) for side in (hypothesis, reference)]

    def __call__(self, weights: Floats) -> Floats:
        """The cosines ``[n]`` if the corpus of the idf repeats reference i ``weights[i]`` times."""
        documents = self.documents(weights.take(self.document))
        squared = (np.log(weights.sum()) - np.log(np.maximum(1.0, documents))) ** 2
        shared = self.shared(squared)
        norms = np.sqrt(self.norms[0](squared)) * np.sqrt(self.norms[1](squared))
        return quotient(shared, norms)


def of_similarities(total: Floats, lengths: Integers) -> Floats:
    """CIDEr of pairs, in [0, 10].

    Args:
        total: ``[.. n]``: the sum of a pair's cosines over the orders.
        lengths: ``[2 n]``: words of the references, then of the hypotheses.
    """
    # pycocoevalcap measures lengths in bigrams.
    references, hypotheses = np.maximum(0, lengths - 1).reshape(2, -1)
    penalty = np.exp(-((hypotheses - references) ** 2.0) / (2 * SIGMA**2))
    found: Floats = total / ORDERS * penalty * 10
    return found


def cider(texts: PairedTexts, weights: Floats) -> Floats:
    """CIDEr of each pair ``[r n]``, in [0, 10].

    Args:
        texts: n pairs.
        weights: ``[r n]``: how often the corpus of the idf repeats each reference.
    """
    total = np.zeros(weights.shape)
    for ngrams in texts.orders():
        similarity = Similarity(ngrams, texts.pairs)
        for sums, row in zip(total, weights, strict=True):
            sums += similarity(row)
    return of_similarities(total, texts.lengths)
