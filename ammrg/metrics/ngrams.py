"""The n-grams of order 1 to 4 of texts: of one text as a count, of many pairs of texts as arrays.

In the arrays words and n-grams are whole numbers. An n-gram of order k is its first k - 1 words, which are an n-gram of
the order before, and its last word; so each order needs one sort of all its occurrences, and no loop over texts. One
order is in memory at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ammrg.errors import ScoringError

Integers = NDArray[np.int64]
Indices = NDArray[np.int32]
Floats = NDArray[np.float64]

ORDERS = 4


class Occurrences(NamedTuple):
    """Which n-grams of one order occur in which of n texts: e rows, one for each text and n-gram, sorted by both."""

    text: Indices
    """``[e]``: 0 .. n-1."""
    gram: Indices
    """``[e]``: the n-gram."""
    times: Floats
    """``[e]``: how often it occurs in the text."""


class OrderNGrams(NamedTuple):
    """The n-grams of one order in n pairs of texts."""

    grams: int
    """Number of different n-grams in all texts; they are numbered from 0."""
    reference: Occurrences
    hypothesis: Occurrences
    shared: tuple[Integers, Integers]
    """Rows of ``hypothesis`` whose n-gram is also in the reference of the pair, and the rows of ``reference`` there."""


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


class PairedTexts:
    """The words of n pairs of texts.

    Args:
        references: n texts, none empty.
        hypotheses: n texts.

    Raises:
        ScoringError: if the lengths differ, there are no pairs, or a reference is empty.
    """

    def __init__(self, references: Sequence[str], hypotheses: Sequence[str]) -> None:
        check_pairs(references, hypotheses)
        self.pairs = len(references)
        rows = [text.split() for text in (*references, *hypotheses)]
        known = dict(zip(dict.fromkeys(chain.from_iterable(rows)), count(), strict=False))
        self.vocabulary = len(known)
        self.lengths: Integers = np.array([len(row) for row in rows], dtype=np.int64)
        """``[2 n]``: words of the references, then of the hypotheses."""
        self.words: Integers = np.fromiter(map(known.__getitem__, chain.from_iterable(rows)), np.int64)

    def orders(self) -> Iterator[OrderNGrams]:
        """The n-grams of order 1, 2, 3 and 4."""
        text = np.repeat(np.arange(2 * self.pairs), self.lengths)
        left = np.repeat(np.cumsum(self.lengths), self.lengths) - np.arange(len(self.words))  # words to the text's end
        gram = self.words  # the n-gram that begins at each word
        for k in range(1, ORDERS + 1):
            starts = np.flatnonzero(left >= k)
            longer = gram[starts] * self.vocabulary + self.words[starts + k - 1] if k > 1 else gram
            different, ids = np.unique(longer, return_inverse=True)
            gram = np.zeros_like(self.words)
            gram[starts] = ids
            yield self._order(text[starts], ids, len(different))

    def _order(self, text: Integers, gram: Integers, grams: int) -> OrderNGrams:
        """The n-grams of one order, from the text and the n-gram of each occurrence."""
        width = max(1, grams)
        keys, counts = np.unique(text * width + gram, return_counts=True)
        cut = int(np.searchsorted(keys, self.pairs * width))
        theirs, ours = keys[:cut], keys[cut:] - self.pairs * width  # both ascend
        sides = [
            Occurrences((key // width).astype(np.int32), (key % width).astype(np.int32), times.astype(np.float64))
            for key, times in ((theirs, counts[:cut]), (ours, counts[cut:]))
        ]
        place = np.searchsorted(theirs, ours)
        found = np.flatnonzero(np.append(theirs, -1)[place] == ours)
        return OrderNGrams(grams, sides[0], sides[1], (found, place[found]))
