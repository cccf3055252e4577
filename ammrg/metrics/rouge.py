"""ROUGE-L of pairs of texts, equal to pycocoevalcap's ``Rouge``."""

from __future__ import annotations

from collections.abc import Sequence

BETA = 1.2
"""Weight of recall against precision, as in pycocoevalcap."""


def rouge_l(reference: str, hypothesis: str) -> float:
    """ROUGE-L of one pair, in [0, 1]; texts are cut at every single space, as pycocoevalcap does."""
    theirs, ours = reference.split(" "), hypothesis.split(" ")
    common = common_subsequence(theirs, ours)
    if not common:
        return 0.0
    precision, recall = common / len(ours), common / len(theirs)
    return ((1 + BETA**2) * precision * recall) / (recall + BETA**2 * precision)


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence.

    A row of the table of lengths is the bits of one integer: a bit is 0 where the length grows by one (Hyyrö 2004,
    "Bit-parallel LCS-length computation revisited"). So a word of ``second`` costs a few operations, not a loop over
    ``first``.
    """
    places: dict[str, int] = {}
    for i, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << i
    every = row = (1 << len(first)) - 1
    for word in second:
        if known := places.get(word):
            matched = row & known
            row = (row + matched | row - matched) & every
    return len(first) - row.bit_count()
