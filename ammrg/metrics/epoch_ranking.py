"""What epochs are compared by: AUROC and F1 of each finding, without intervals."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc, binary_f1_score

from ammrg.findings import FINDINGS
from ammrg.metrics.classification import MIN_POSITIVES
from ammrg.thresholds import is_predicted


class EpochRanking(NamedTuple):
    """Of a split's studies, as one epoch left the network."""

    areas: dict[str, Tensor]
    """AUROC of each finding that has a positive and a negative study, by name."""
    macro: Tensor
    """Mean AUROC of the findings with at least :data:`MIN_POSITIVES` of both: a handful ranks by chance and has no say
    beside firmer numbers. Of all that have one, where none has so many; 0 where none has any."""
    f1_macro: Tensor
    """Mean F1 of all 14, 0 for one without known studies."""

    @property
    def without(self) -> list[str]:
        """Names of the findings that have no AUROC."""
        return [name for name in FINDINGS if name not in self.areas]


def rank(probabilities: Tensor, targets: Tensor, mask: Tensor, thresholds: Tensor) -> EpochRanking:
    """On the CPU.

    Args:
        probabilities: ``[n 14]`` in [0, 1].
        targets, mask: ``[n 14]`` each, 1 or 0: positive, and known.
        thresholds: ``[14]``: what calls a finding positive lies above.
    """
    areas: dict[str, Tensor] = {}
    frequent, f1 = [], []
    for finding, name in enumerate(FINDINGS):
        known = mask[:, finding].bool()
        values, truth = probabilities[known, finding], targets[known, finding].long()
        called = is_predicted(values, thresholds[finding]).long()
        f1.append(binary_f1_score(called, truth) if len(truth) else torch.zeros(()))
        if truth.any() and not truth.all():
            areas[name] = binary_auroc(values, truth)
            if min(int(truth.sum()), int((1 - truth).sum())) >= MIN_POSITIVES:
                frequent.append(areas[name])
    averaged = frequent or list(areas.values())
    macro = torch.stack(averaged).mean() if averaged else torch.zeros(())
    return EpochRanking(areas, macro, torch.stack(f1).mean())
