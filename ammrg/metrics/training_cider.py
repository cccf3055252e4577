"""CIDEr-D of single texts with a fixed idf: that of the training reports, for rewards and other uses in training.

:mod:`ammrg.metrics.cider` scores a whole set with the set's own idf; here the idf is counted once, and each pair costs
only its own n-grams. With the same idf both give the same value.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from ammrg.metrics.cider import SIGMA
from ammrg.metrics.ngrams import ORDERS, ngrams

NGram = tuple[str, ...]


class TrainingCider:
    """CIDEr-D of a pair of texts, words separated by spaces (:func:`ammrg.text.cleaning.normalise`).

    Args:
        corpus: the texts of the idf, at least one.
    """

    def __init__(self, corpus: Iterable[str]) -> None:
        documents: Counter[NGram] = Counter()
        count = 0
        for text in corpus:
            documents.update(ngrams(text).keys())
            count += 1
        self.rare = math.log(count)
        """The idf of an n-gram in at most one text: pycocoevalcap counts one in none as if it were in one."""
        self.common = {gram: self.rare - math.log(times) for gram, times in documents.items() if times > 1}
        """The idf of the others."""
        self.vector = lru_cache(maxsize=1 << 10)(self._vector)  # a group of samples shares its reference

    def _vector(self, text: str) -> tuple[dict[NGram, float], list[float]]:
        """The tf-idf of each n-gram, and its norm in each order."""
        weights = {gram: times * self.common.get(gram, self.rare) for gram, times in ngrams(text).items()}
        squares = [0.0] * ORDERS
        for gram, weight in weights.items():
            squares[len(gram) - 1] += weight**2
        return weights, [math.sqrt(square) for square in squares]

    def __call__(self, text: str, reference: str) -> float:
        """CIDEr-D of a text against one reference, in [0, 10]."""
        (ours, our_norms), (theirs, their_norms) = self.vector(text), self.vector(reference)
        shared = [0.0] * ORDERS
        for gram, weight in ours.items():
            if gram in theirs:
                shared[len(gram) - 1] += min(weight, theirs[gram]) * theirs[gram]
        norms = [one * other for one, other in zip(our_norms, their_norms, strict=True)]
        cosine = sum(part / norm for part, norm in zip(shared, norms, strict=True) if norm > 0) / ORDERS
        # pycocoevalcap measures lengths in bigrams.
        longer = max(0, len(text.split()) - 1) - max(0, len(reference.split()) - 1)
        return 10 * cosine * math.exp(-(longer**2) / (2 * SIGMA**2))
