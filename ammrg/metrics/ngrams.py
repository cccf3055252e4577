"""The n-grams of order 1 to 4 of texts: of one text as a count, of many pairs of texts as arrays.

In the arrays words and n-grams are whole numbers. An n-gram of order k is its first k - 1 words, which are an n-gram of
the order before, and its last word; so each order needs one sort of all its occurrences, and no loop over texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
    """Which n-grams occur in which texts: e rows, one for each text and n-gram in it, sorted by order and text."""

    slot: Indices
    """``[e]``: (order - 1) * n + text, for n texts."""
    gram: Indices
    """``[e]``: the n-gram."""
    count: Floats
    """``[e]``: how often it occurs in the text."""


class PairedNGrams(NamedTuple):
    """The n-grams of n pairs of texts."""

    pairs: int
    """n."""
    grams: int
    """Number of different n-grams in all texts. They are numbered from 0, those of one order after the other."""
    lengths: Integers
    """``[2 n]``: words of the references, then of the hypotheses."""
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


def paired_ngrams(references: Sequence[str], hypotheses: Sequence[str]) -> PairedNGrams:
    """Count the n-grams of n references, none empty, and of n hypotheses.

    Raises:
        ScoringError: if the lengths differ, there are no pairs, or a reference is empty.
    """
    check_pairs(references, hypotheses)
    n = len(references)
    rows = [text.split() for text in (*references, *hypotheses)]
    known = dict(zip(dict.fromkeys(chain.from_iterable(rows)), count(), strict=False))
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    word = np.fromiter(map(known.__getitem__, chain.from_iterable(rows)), np.int64, lengths.sum())
    text = np.repeat(np.arange(2 * n), lengths)
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(word))  # words from here to the end of the text

    total = 0
    sides: list[list[Occurrences]] = [[], []]
    gram = word  # of the n-gram that begins at each word
    for k in range(1, ORDERS + 1):
        starts = np.flatnonzero(left >= k)
        pairs = gram[starts] if k == 1 else gram[starts] * len(known) + word[starts + k - 1]
        different, ids = np.unique(pairs, return_inverse=True)
        gram = np.zeros_like(word)
        gram[starts] = ids
        width = max(1, len(different))
        keys, counts = np.unique(text[starts] * width + ids, return_counts=True)
        cut = int(np.searchsorted(keys, n * width))
        for side, part in enumerate((slice(cut), slice(cut, None))):
            slots = keys[part] // width + (k - 1 - side) * n
            found = Occurrences(
                slots.astype(np.int32), (keys[part] % width + total).astype(np.int32), counts[part].astype(np.float64)
            )
            sides[side].append(found)
        total += len(different)
    reference, hypothesis = (Occurrences(*map(np.concatenate, zip(*side, strict=True))) for side in sides)
    return PairedNGrams(n, total, lengths, reference, hypothesis, _shared(reference, hypothesis, max(1, total)))


def _shared(reference: Occurrences, hypothesis: Occurrences, grams: int) -> tuple[Integers, Integers]:
    theirs, ours = (side.slot * np.int64(grams) + side.gram for side in (reference, hypothesis))  # both ascend
    place = np.searchsorted(theirs, ours)
    found = np.flatnonzero(theirs[np.minimum(place, len(theirs) - 1)] == ours)
    return found, place[found]
