"""The scores that rank epochs: AUROC and F1 of each finding, without intervals."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ammrg.findings import FINDINGS
from ammrg.metrics.classification import MIN_POSITIVES, auroc, f1, once_each
from ammrg.thresholds import is_predicted


class EpochRanking(NamedTuple):
    """Scores of a split after one epoch: scalar tensors, float32, on the CPU."""

    areas: dict[str, Tensor]
    """AUROC of each finding that has a positive and a negative study, by name."""
    macro: Tensor
    """Mean AUROC of the findings with at least :data:`MIN_POSITIVES` positive and as many negative studies: an AUROC
    from a handful of studies is mostly chance. If no finding has so many, the mean of all AUROCs; 0 if none exists."""
    f1_macro: Tensor
    """Mean F1 of all 14 findings; a finding without known studies counts as 0."""

    @property
    def without(self) -> list[str]:
        """Names of the findings without an AUROC."""
        return [name for name in FINDINGS if name not in self.areas]


def rank(probabilities: Tensor, targets: Tensor, mask: Tensor, thresholds: Tensor) -> EpochRanking:
    """Compute the scores that rank an epoch. All tensors are on the CPU.

    Args:
        probabilities: ``[n 14]`` in [0, 1].
        targets: ``[n 14]``, 1 positive, else 0.
        mask: ``[n 14]``, 1 where the target is known, else 0.
        thresholds: ``[14]``; a finding is predicted if its probability is above.
    """
    areas: dict[str, Tensor] = {}
    frequent, each_f1 = [], []
    for finding, name in enumerate(FINDINGS):
        known = mask[:, finding].bool()
        values, truth = probabilities[known, finding], targets[known, finding]
        weights = once_each(len(truth))
        each_f1.append(f1(is_predicted(values, thresholds[finding]), truth, weights)[0].float())
        if truth.any() and not truth.all():
            areas[name] = auroc(values, truth, weights)[0].float()  # not every accelerator has float64
            if min(int(truth.sum()), int((1 - truth).sum())) >= MIN_POSITIVES:
                frequent.append(areas[name])
    averaged = frequent or list(areas.values())
    macro = torch.stack(averaged).mean() if averaged else torch.zeros(())
    return EpochRanking(areas, macro, torch.stack(each_f1).mean())
