"""Swaps against the network run once more by hand, on films whose findings are bright marks."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import roc_auc_score

from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.query_swap import QuerySwaps, swap_queries
from tests.tiny_encoder import ENCODER


def build() -> DiseaseClassifier:
    torch.manual_seed(0)
    return DiseaseClassifier(ENCODER, {"width": 16, "layers": 1, "heads": 2, "dropout": 0.0}).eval()


def test_each_swap_is_the_network_with_that_query_there() -> None:
    classifier = build()
    tokens = torch.randn(70, 9, 16)  # more than one part
    labels = (torch.rand(70, 14) < 0.4).float()
    labels[:5, 2] = -1.0
    labels[:, 7] = 0.0
    before = classifier.qformer.disease_queries.detach().clone()
    swaps = swap_queries(classifier, tokens, (3, 3), labels, lambda logits: logits)
    assert torch.equal(classifier.qformer.disease_queries, before)
    assert torch.equal(swaps.own.isnan(), torch.arange(14) == 7)  # no positive: no AUROC, no crash
    for i, j in ((2, 5), (5, 2), (13, 0)):
        with torch.no_grad():
            classifier.qformer.disease_queries[i] = before[j]
            logits = classifier.classify(tokens, (3, 3)).logits
            classifier.qformer.disease_queries.copy_(before)
        for k in (2, 5, 13):
            rows = labels[:, k] != -1
            assert swaps.swapped[i, j, k].item() == pytest.approx(roc_auc_score(labels[rows, k], logits[rows, k]))
    with pytest.raises(ValueError, match="eval"):
        swap_queries(classifier.train(), tokens, (3, 3), labels, lambda logits: logits)


def test_what_is_lost_and_what_moves() -> None:
    own = torch.full((14,), 0.9, dtype=torch.float64)
    own[1], own[2] = 0.59, torch.nan  # hardly found, and not judged
    swapped = own.repeat(14, 14, 1)
    swapped[torch.arange(14), :, torch.arange(14)] = 0.5  # each finding is lost with each other query
    swapped[torch.arange(14), torch.arange(14), torch.arange(14)] = own
    swapped[3, 5, 3] = 0.86  # but finding 3 is still there with query 5
    swapped[5, 3, 5] = 0.84  # and finding 5 just broken by query 3
    swapped[3, 8, 6] = 0.86  # with query 8 in the place of 3 finding 6 moves
    swaps = QuerySwaps(own, swapped)
    assert swaps.replaced.shape == (14, 13)
    assert swaps.replaced[3].max().item() == 0.86
    assert swaps.moved[3].item() == pytest.approx(0.04)
    assert swaps.moved[torch.arange(14) != 3].max().item() == 0
    assert swaps.found.tolist() == [i not in (1, 2) for i in range(14)]
    assert swaps.not_broken == [(3, 5)]
    assert swaps.drops.shape == (12, 13)
    assert swaps.drops.sum().item() == pytest.approx(12 * 13 * 0.4 - 0.36 - 0.34)
