"""CIDEr-D of n pairs of texts (Vedantam et al. 2015), with the idf of the references, each counted as often as wanted.

Values equal those of pycocoevalcap's ``CiderScorer`` up to rounding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ammrg.metrics.ngrams import ORDERS, PairedNGrams

Floats = NDArray[np.float64]

SIGMA = 6.0
"""CIDEr-D's tolerance for a difference in length, in words."""


class Cider:
    """CIDEr of each pair, for any number of times that each reference counts in the idf.

    Args:
        ngrams: of n pairs.
    """

    def __init__(self, ngrams: PairedNGrams) -> None:
        self.pairs, self.grams = ngrams.pairs, ngrams.grams
        self.reference, self.hypothesis = ngrams.reference, ngrams.hypothesis
        self.text = self.reference.slot % self.pairs
        self.squares = [side.count**2 for side in (self.hypothesis, self.reference)]
        ours, theirs = ngrams.shared
        counts = self.reference.count[theirs]
        self.shared = np.minimum(self.hypothesis.count[ours], counts) * counts
        self.shared_gram, self.shared_slot = self.hypothesis.gram[ours], self.hypothesis.slot[ours]
        # pycocoevalcap measures lengths in bigrams.
        lengths = np.maximum(0, ngrams.lengths - 1).reshape(2, -1)
        self.penalty = np.exp(-((lengths[1] - lengths[0]) ** 2.0) / (2 * SIGMA**2))

    def per_pair(self, weights: Floats) -> Floats:
        """CIDEr of each pair ``[n]``, in [0, 10], if the corpus of the idf repeats reference i ``weights[i]`` times."""
        documents = np.bincount(self.reference.gram, weights[self.text], minlength=self.grams)
        squared = (np.log(weights.sum()) - np.log(np.maximum(1.0, documents))) ** 2
        shared = self._sums(self.shared_slot, self.shared * squared[self.shared_gram])
        norms = [
            self._sums(side.slot, squares * squared[side.gram])
            for side, squares in zip((self.hypothesis, self.reference), self.squares, strict=True)
        ]
        length = np.sqrt(norms[0]) * np.sqrt(norms[1])
        similarity = np.divide(shared, length, out=np.zeros_like(shared), where=length > 0)
        each: Floats = similarity.mean(axis=0) * self.penalty * 10
        return each

    def _sums(self, slot: NDArray[np.int32], values: Floats) -> Floats:
        """Sums by order and pair: ``[4 n]``."""
        sums = np.bincount(slot, values, minlength=ORDERS * self.pairs)
        # Without any n-gram bincount returns integers, even with weights.
        return np.asarray(sums, dtype=np.float64).reshape(ORDERS, self.pairs)
