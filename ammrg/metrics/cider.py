"""CIDEr-D of n pairs of texts (Vedantam et al. 2015), with the idf of the references, each counted as often as wanted.

Values equal those of pycocoevalcap's ``CiderScorer`` up to rounding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ammrg.metrics.ngrams import ORDERS, Integers, PairedNGrams

Floats = NDArray[np.float64]

SIGMA = 6.0
"""CIDEr-D's tolerance for a difference in length, in words."""


class _Sums:
    """Sums of consecutive values that have the same key.

    Args:
        keys: ``[e]``, ascending, from 0.
        size: how many keys there are; those without a value have the sum 0.
    """

    def __init__(self, keys: NDArray[np.integer], size: int) -> None:
        self.starts = np.flatnonzero(np.diff(keys, prepend=-1))
        self.keys, self.size = keys[self.starts], size

    def __call__(self, values: Floats) -> Floats:
        """The sums of ``values [e]``: ``[size]``."""
        sums = np.zeros(self.size)
        if len(self.starts):
            sums[self.keys] = np.add.reduceat(values, self.starts)
        return sums


class _Terms:
    """Values of n-grams, each to be multiplied by the square of its idf and summed for each order and pair.

    Args:
        slot: ``[e]``, ascending: order and pair, as in :class:`ammrg.metrics.ngrams.Occurrences`.
        gram: ``[e]``: the n-gram.
        value: ``[e]``.
        pairs: n.
    """

    def __init__(self, slot: NDArray[np.int32], gram: NDArray[np.int32], value: Floats, pairs: int) -> None:
        self.gram: Integers = gram.astype(np.int64)  # numpy looks up by other integers at a third of the speed
        self.value, self.sums = value, _Sums(slot, ORDERS * pairs)

    def __call__(self, squared_idf: Floats) -> Floats:
        """The sums ``[4 n]`` for the squared idf of each n-gram ``[grams]``."""
        return self.sums(self.value * squared_idf.take(self.gram)).reshape(ORDERS, -1)


class Cider:
    """CIDEr of each pair, for any number of times that each reference counts in the idf.

    Args:
        ngrams: of n pairs.
    """

    def __init__(self, ngrams: PairedNGrams) -> None:
        n, reference, hypothesis = ngrams.pairs, ngrams.reference, ngrams.hypothesis
        order = np.argsort(reference.gram, kind="stable")
        self.document: Integers = reference.slot[order].astype(np.int64) % n
        """The references that have an n-gram, one n-gram after the other."""
        self.documents = _Sums(reference.gram[order], ngrams.grams)
        ours, theirs = ngrams.shared
        counts = reference.count[theirs]
        shared = np.minimum(hypothesis.count[ours], counts) * counts
        self.shared = _Terms(hypothesis.slot[ours], hypothesis.gram[ours], shared, n)
        self.norms = [_Terms(side.slot, side.gram, side.count**2, n) for side in (hypothesis, reference)]
        # pycocoevalcap measures lengths in bigrams.
        lengths = np.maximum(0, ngrams.lengths - 1).reshape(2, n)
        self.penalty = np.exp(-((lengths[1] - lengths[0]) ** 2.0) / (2 * SIGMA**2))

    def per_pair(self, weights: Floats) -> Floats:
        """CIDEr of each pair ``[n]``, in [0, 10], if the corpus of the idf repeats reference i ``weights[i]`` times."""
        documents = self.documents(weights.take(self.document))
        squared = (np.log(weights.sum()) - np.log(np.maximum(1.0, documents))) ** 2
        shared = self.shared(squared)
        norms = np.sqrt(self.norms[0](squared)) * np.sqrt(self.norms[1](squared))
        similarity = np.divide(shared, norms, out=np.zeros_like(shared), where=norms > 0)
        each: Floats = similarity.mean(axis=0) * self.penalty * 10
        return each
