"""Of several texts for one study, the one that agrees most with all: minimum Bayes risk decoding with CIDEr-D as gain.

A text that is likely on the whole need not be typical: the most probable one of a model that hesitates between many
wordings is often short or plain. What is sampled shows what the model holds for possible; the text closest to all of
that is the best guess where one cannot know which is right (Kumar and Byrne 2004; Eikema and Aziz 2020). CIDEr-D
(Vedantam et al. 2015) weighs rare n-grams more, by their frequency in a corpus of training reports.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ammrg.metrics.language import ORDERS, ngrams
from ammrg.metrics.resampled_idf import SIGMA
from ammrg.text.cleaning import normalise

Floats = NDArray[np.float64]


class Consensus:
    """Chooses among texts.

    Args:
        corpus: training reports, which say how rare an n-gram is.
    """

    def __init__(self, corpus: Sequence[str]) -> None:
        self.documents = Counter(gram for text in corpus for gram in ngrams(normalise(text)))
        self.size = max(2, len(corpus))

    def agreement(self, texts: Sequence[str]) -> Floats:
        """CIDEr-D ``[n n]`` in [0, 10] of each text (row) with each as its reference (column)."""
        counted = [ngrams(normalise(text)) for text in texts]
        grams = sorted({gram for counts in counted for gram in counts})
        idf = np.log(self.size) - np.log([max(1, self.documents[gram]) for gram in grams])
        weights = np.array([[counts[gram] for gram in grams] for counts in counted], dtype=np.float64) * idf
        orders = np.array([len(gram) for gram in grams])
        gain = np.zeros((len(texts), len(texts)))
        for order in range(1, ORDERS + 1):
            own = weights[:, orders == order]
            shared = np.einsum("ijg,jg->ij", np.minimum(own[:, None], own[None]), own)
            norms = np.sqrt((own**2).sum(axis=1))
            scale = norms[:, None] * norms[None]
            gain += np.divide(shared, scale, out=np.zeros_like(gain), where=scale > 0)
        # pycocoevalcap measures lengths in bigrams.
        lengths = np.array([max(0, sum(counts[gram] for gram in counts if len(gram) == 1) - 1) for counts in counted])
        penalty = np.exp(-((lengths[:, None] - lengths[None]) ** 2.0) / (2 * SIGMA**2))
        return np.asarray(10 * gain / ORDERS * penalty)

    def choose(self, texts: Sequence[str]) -> int:
        """Which of the texts agrees most with all of them, on average; the first of equals."""
        return int(self.agreement(texts).mean(axis=1).argmax())
