"""CIDEr with each resample's own idf: a bootstrap of the whole scorer, to check the fixed idf.

All other intervals keep the idf of the full reference set. A study's CIDEr is then one number, and a thousand resamples
are one matrix product. Here every resample counts its own documents; n-grams are indexed once. Values equal
pycocoevalcap's on a corpus that repeats each study as often as it was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ammrg.metrics.language import ORDERS, check_pairs, ngrams

Floats = NDArray[np.float64]

SIGMA = 6.0
"""CIDEr-D's tolerance for a difference in length, in words (Vedantam et al. 2015)."""


class _Entries:
    """The n-grams of n texts in flat arrays, sorted by text and order."""

    def __init__(self, texts: Sequence[str], ids: dict[tuple[str, ...], int]) -> None:
        rows = [
            (i * ORDERS + len(gram) - 1, ids.setdefault(gram, len(ids)), times)
            for i, text in enumerate(texts)
            for gram, times in ngrams(text).items()
        ]
        table = np.array(rows, dtype=np.int64).reshape(-1, 3)
        self.slot, self.gram = table[:, 0], table[:, 1]
        self.count = table[:, 2].astype(np.float64)
        self.slots = len(texts) * ORDERS

    def sums(self, values: Floats) -> Floats:
        """Sums of the entries' values per text and order: ``[n 4]``."""
        return np.asarray(np.bincount(self.slot, values, minlength=self.slots), dtype=np.float64).reshape(-1, ORDERS)


class ResampledCider:
    """CIDEr of n studies under any resample of the studies.

    Args:
        references: n texts, words separated by spaces, none empty.
        hypotheses: n texts.

    Raises:
        ScoringError: if the lengths differ, there are no pairs, or a reference is empty.
    """

    def __init__(self, references: Sequence[str], hypotheses: Sequence[str]) -> None:
        check_pairs(references, hypotheses)
        ids: dict[tuple[str, ...], int] = {}
        self.reference, self.hypothesis = _Entries(references, ids), _Entries(hypotheses, ids)
        self.grams = len(ids)
        # The entries of n-grams that are in a hypothesis and in its reference.
        key = self.hypothesis.slot * self.grams + self.hypothesis.gram
        theirs = self.reference.slot * self.grams + self.reference.gram
        _, mine, other = np.intersect1d(key, theirs, assume_unique=True, return_indices=True)
        counts = self.reference.count[other]
        self.shared = np.minimum(self.hypothesis.count[mine], counts) * counts
        self.shared_gram, self.shared_slot = self.hypothesis.gram[mine], self.hypothesis.slot[mine]
        # pycocoevalcap measures lengths in bigrams.
        lengths = [np.maximum(0, [len(text.split()) - 1 for text in texts]) for texts in (hypotheses, references)]
        self.penalty = np.exp(-((lengths[0] - lengths[1]) ** 2.0) / (2 * SIGMA**2))

    def per_study(self, weights: Floats) -> Floats:
        """CIDEr of each study ``[n]``, in [0, 10], if the corpus of the idf repeats study i ``weights[i]`` times."""
        documents = np.bincount(self.reference.gram, weights[self.reference.slot // ORDERS], minlength=self.grams)
        squared = (np.log(weights.sum()) - np.log(np.maximum(1.0, documents))) ** 2
        shared = np.bincount(self.shared_slot, self.shared * squared[self.shared_gram], minlength=self.reference.slots)
        # Without any shared n-gram bincount returns integers, even with weights.
        similarity = shared.astype(np.float64).reshape(-1, ORDERS)
        norms = np.sqrt(
            self.hypothesis.sums(self.hypothesis.count**2 * squared[self.hypothesis.gram])
            * self.reference.sums(self.reference.count**2 * squared[self.reference.gram])
        )
        similarity = np.divide(similarity, norms, out=np.zeros_like(similarity), where=norms > 0)
        each: Floats = similarity.mean(axis=1) * self.penalty * 10
        return each

    def score(self, weights: Floats) -> float:
        """CIDEr of a corpus that repeats study i ``weights[i]`` times, in [0, 10]."""
        return float(weights @ self.per_study(weights) / weights.sum())


def idf_difference(references: Sequence[str], hypotheses: Sequence[str], weights: Floats) -> dict[str, float]:
    """The effect of a fixed idf on CIDEr, over the resamples ``weights [r n]``.

    Returns:
        ``resamples``; the standard deviations ``fixed_sd`` and ``recomputed_sd`` of CIDEr over them;
        ``mean_difference`` (recomputed minus fixed) and ``largest_difference`` (absolute).
    """
    scorer = ResampledCider(references, hypotheses)
    each = np.array([scorer.score(row) for row in weights])
    fixed = weights @ scorer.per_study(np.ones(len(references))) / weights.sum(axis=1)
    difference = each - fixed
    return {
        "resamples": len(weights),
        "fixed_sd": float(fixed.std()),
        "recomputed_sd": float(each.std()),
        "mean_difference": float(difference.mean()),
        "largest_difference": float(np.abs(difference).max()),
    }
