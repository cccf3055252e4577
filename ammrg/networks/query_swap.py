"""Query swaps: a test of whether query i carries finding i.

Each disease query is replaced by each other one; the AUROC of every finding shows what is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ammrg.findings import NUM_FINDINGS, POSITIVE, UNCERTAIN
from ammrg.metrics.classification import auroc, once_each
from ammrg.networks.disease_classifier import DiseaseClassifier

BROKEN = 0.05
"""A swap that lowers a finding's AUROC by more than this breaks the finding."""
FOUND = 0.6
"""Findings with a lower AUROC, before any swap, have almost nothing to lose."""
_FILMS_AT_A_TIME = 64


class QuerySwaps(NamedTuple):
    """The AUROC of every finding, without a swap and with each query replaced by each other one."""

    own: Tensor
    """float64 ``[14]``, without a swap; NaN where the split has no positive or no negative study of a finding."""
    swapped: Tensor
    """float64 ``[14 14 14]``: ``[i, j, k]`` is the AUROC of finding k with query j in the place of query i."""

    @property
    def replaced(self) -> Tensor:
        """``[14 13]``: AUROC of finding i with each other query in the place of query i."""
        return self.swapped[~torch.eye(NUM_FINDINGS, dtype=torch.bool)].reshape(NUM_FINDINGS, -1, NUM_FINDINGS)[
            torch.arange(NUM_FINDINGS), :, torch.arange(NUM_FINDINGS)
        ]

    @property
    def found(self) -> Tensor:
        """Bool ``[14]``: findings that a swap can break, with an AUROC of at least :data:`FOUND`."""
        return self.own >= FOUND  # False for NaN

    @property
    def drops(self) -> Tensor:
        """``[m 13]``: how much each other query in its place lowers the AUROC, for the m findings in :attr:`found`."""
        return (self.own[:, None] - self.replaced)[self.found]

    @property
    def not_broken(self) -> list[tuple[int, int]]:
        """Pairs (i, j): findings i in :attr:`found` that query j in the place of query i does not break."""
        index = torch.arange(NUM_FINDINGS)
        left = self.own[:, None] - self.swapped[index, :, index] <= BROKEN  # [14 14], finding and query
        left &= self.found[:, None] & ~torch.eye(NUM_FINDINGS, dtype=torch.bool)
        return [(i, j) for i, j in left.nonzero().tolist()]

    @property
    def moved(self) -> Tensor:
        """``[14]``: the largest change of another finding's AUROC when query i is replaced."""
        moves = (self.swapped - self.own).abs().nan_to_num(0.0)
        index = torch.arange(NUM_FINDINGS)
        moves[index, :, index] = 0.0  # its own finding does not count
        return moves.amax(dim=(1, 2))


@torch.no_grad()
def swap_queries(
    classifier: DiseaseClassifier,
    tokens: Tensor,
    grid: tuple[int, int],
    labels: Tensor,
    to_studies: Callable[[Tensor], Tensor],
) -> QuerySwaps:
    """Replace every disease query by every other, and measure the AUROC of all findings each time (182 times).

    Args:
        classifier: in eval mode; its queries are restored at the end.
        tokens: ``[v n e]``: the encoder's tokens of all films of a split.
        grid: of the tokens.
        labels: ``[b 14]``. Blank is negative; uncertain labels are left out; there must be no unlabelled studies.
        to_studies: combines logits of films ``[v 14]`` to those of studies ``[b 14]``.

    Raises:
        ValueError: the classifier is in training mode.
    """
    if classifier.training:
        raise ValueError("swapping queries needs the classifier in eval(): dropout would change the AUROC")
    truth = (labels == POSITIVE).double()
    known = labels != UNCERTAIN

    def areas() -> Tensor:
        logits = torch.cat([classifier.classify(part, grid).logits for part in torch.split(tokens, _FILMS_AT_A_TIME)])
        scores = to_studies(logits.float()).cpu()
        found = [auroc(scores[rows, i], truth[rows, i], once_each(int(rows.sum()))) for i, rows in enumerate(known.T)]
        return torch.cat(found)

    queries = classifier.qformer.disease_queries
    kept = queries.clone()
    own = areas()
    swapped = own.repeat(NUM_FINDINGS, NUM_FINDINGS, 1)
    try:
        for i in range(NUM_FINDINGS):
            for j in (j for j in range(NUM_FINDINGS) if j != i):
                queries.copy_(kept)
                queries[i] = kept[j]
                swapped[i, j] = areas()
    finally:
        queries.copy_(kept)
    return QuerySwaps(own, swapped)
