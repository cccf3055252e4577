"""BLEU and CIDEr of one text used as the report of every study, fast enough to try hundreds of texts.

The n-grams of the references are indexed once; each candidate then needs one pass over flat arrays. Values equal those
of :mod:`ammrg.metrics.language` up to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ammrg.metrics.cider import SIGMA
from ammrg.metrics.language import _SMALL, _TINY
from ammrg.metrics.ngrams import ORDERS, ngrams


class ConstantScorer:
    """Scores any one text as the report of all n studies.

    Args:
        references: n texts, words separated by spaces, none empty.
    """

    def __init__(self, references: Sequence[str]) -> None:
        self.size = len(references)
        self.lengths = np.array([len(text.split()) for text in references], dtype=np.float64)
        self.ids: dict[tuple[str, ...], int] = {}
        study, gram, count, order = [], [], [], []
        for i, text in enumerate(references):
            for ngram, times in ngrams(text).items():
                study.append(i)
                gram.append(self.ids.setdefault(ngram, len(self.ids)))
                count.append(times)
                order.append(len(ngram) - 1)
        self.gram, self.count = np.array(gram), np.array(count, dtype=np.float64)
        self.order = np.array(order)
        self.slot = np.array(study) * ORDERS + self.order
        frequency = np.bincount(self.gram, minlength=len(self.ids)).astype(np.float64)
        self.idf = np.log(self.size) - np.log(np.maximum(1.0, frequency))
        self.weight = self.count * self.idf[self.gram]
        self.norm = np.sqrt(np.bincount(self.slot, self.weight**2, minlength=self.size * ORDERS)).reshape(-1, ORDERS)

    def score(self, text: str) -> tuple[float, float]:
        """(BLEU-4, CIDEr) of this text as the report of every study; in [0, 1] and [0, 10]."""
        counts = ngrams(text)
        length = len(text.split())
        dense = np.zeros(len(self.ids))
        squares = np.zeros(ORDERS)
        for ngram, times in counts.items():
            known = self.ids.get(ngram)
            idf = np.log(self.size)
            if known is not None:
                dense[known], idf = times, self.idf[known]
            squares[len(ngram) - 1] += (times * idf) ** 2
        theirs = dense[self.gram]

        correct = np.bincount(self.order, np.minimum(theirs, self.count), minlength=ORDERS)
        guessed = self.size * np.maximum(0, length - np.arange(ORDERS))
        precision = float(np.prod((correct + _TINY) / (guessed + _SMALL)) ** (1 / ORDERS))
        ratio = (self.size * length + _TINY) / (self.lengths.sum() + _SMALL)
        bleu = precision * float(np.exp(min(0.0, 1 - 1 / ratio)))

        product = np.minimum(theirs * self.idf[self.gram], self.weight) * self.weight
        similarity = np.bincount(self.slot, product, minlength=self.size * ORDERS).reshape(-1, ORDERS)
        norms = self.norm * np.sqrt(squares)
        similarity = np.divide(similarity, norms, out=similarity, where=norms > 0)
        # pycocoevalcap measures lengths in bigrams.
        delta = max(0, length - 1) - np.maximum(0, self.lengths - 1)
        penalty = np.exp(-(delta**2) / (2 * SIGMA**2))
        return bleu, float((similarity.mean(axis=1) * penalty).mean() * 10)
