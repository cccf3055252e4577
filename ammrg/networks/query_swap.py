"""Does query i mean finding i? Put another in its place and see what is lost, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ammrg.findings import NUM_FINDINGS, POSITIVE, UNCERTAIN
from ammrg.metrics.classification import auroc
from ammrg.networks.disease_classifier import DiseaseClassifier

BROKEN = 0.05
"""A swap that takes more than this off a finding's AUROC breaks it."""
FOUND = 0.6
"""Own AUROC below which a finding has next to nothing to lose."""
_FILMS_AT_A_TIME = 64


class QuerySwaps(NamedTuple):
    """AUROC of every finding, with the queries as they are and with each in each other's place."""

    own: Tensor
    """float64 ``[14]``; NaN where the split has no positive or no negative study of a finding."""
    swapped: Tensor
    """float64 ``[14 14 14]``: ``[i, j, k]`` of finding k where query j stands in the place of query i."""

    @property
    def replaced(self) -> Tensor:
        """``[14 13]``: AUROC of finding i read from each other query in its place."""
        return self.swapped[~torch.eye(NUM_FINDINGS, dtype=torch.bool)].reshape(NUM_FINDINGS, -1, NUM_FINDINGS)[
            torch.arange(NUM_FINDINGS), :, torch.arange(NUM_FINDINGS)
        ]

    @property
    def found(self) -> Tensor:
        """Bool ``[14]``: findings that can be broken, with an AUROC of at least :data:`FOUND`."""
        return self.own >= FOUND  # not where it is NaN

    @property
    def drops(self) -> Tensor:
        """``[m 13]``: what each other query in its place takes off the AUROC of each finding of :attr:`found`."""
        return (self.own[:, None] - self.replaced)[self.found]

    @property
    def not_broken(self) -> list[tuple[int, int]]:
        """Pairs (finding i, query j): a finding of :attr:`found` that is still there with query j in place of i."""
        index = torch.arange(NUM_FINDINGS)
        left = self.own[:, None] - self.swapped[index, :, index] <= BROKEN  # [14 14], finding and query
        left &= self.found[:, None] & ~torch.eye(NUM_FINDINGS, dtype=torch.bool)
        return [(i, j) for i, j in left.nonzero().tolist()]

    @property
    def moved(self) -> Tensor:
        """``[14]``: how far any other finding's AUROC moves, at most, when query i is replaced."""
        moves = (self.swapped - self.own).abs().nan_to_num(0.0)
        index = torch.arange(NUM_FINDINGS)
        moves[index, :, index] = 0.0  # its own finding's
        return moves.amax(dim=(1, 2))


@torch.no_grad()
def swap_queries(
    classifier: DiseaseClassifier,
    tokens: Tensor,
    grid: tuple[int, int],
    labels: Tensor,
    to_studies: Callable[[Tensor], Tensor],
) -> QuerySwaps:
    """Every disease query in the place of every other, 182 times through Q-Former and head.

    Args:
        classifier: in eval; its queries are put back.
        tokens: ``[v n e]``: the encoder's, of all films of a split. grid: of them.
        labels: ``[b 14]``; blank is negative, uncertain is left out of its finding, unlabelled studies do not belong.
        to_studies: logits of films ``[v 14]`` -> of their studies ``[b 14]``.

    Raises:
        ValueError: the classifier is in training mode.
    """
    if classifier.training:
        raise ValueError("queries are swapped in eval(): dropout would move what is compared")
    truth = (labels == POSITIVE).double()
    known = labels != UNCERTAIN

    def areas() -> Tensor:
        logits = torch.cat([classifier.classify(part, grid).logits for part in torch.split(tokens, _FILMS_AT_A_TIME)])
        scores = to_studies(logits.float()).cpu()
        found = [
            auroc(scores[rows, i], truth[rows, i], torch.ones(1, int(rows.sum()), dtype=torch.float64))
            for i, rows in enumerate(known.T)
        ]
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
