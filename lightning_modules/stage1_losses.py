"""The losses of stage 1: findings against a study's labels, and report terms against a film's tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.errors import SettingsError
from ammrg.findings import FINDINGS, NUM_FINDINGS
from ammrg.networks.finding_loss import finding_loss, training_targets
from ammrg.ranges import check_ranges
from ammrg.text.report_terms import affirmed_terms
from ammrg.types import StudyBatch


class FindingLoss(torch.nn.Module):
    """The loss of finding logits against study labels, with a run's settings.

    Args:
        settings: ``uncertain``, ``loss``, ``gamma_positive``, ``gamma_negative``, ``margin`` and ``pos_weight`` of
            :class:`lightning_modules.disease_classification.DiseaseClassification`.

    Raises:
        SettingsError: a setting is out of range; see :func:`ammrg.networks.finding_loss.finding_loss`.
    """

    pos_weight: Tensor | None

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.uncertain, self.kind = settings["uncertain"], settings["loss"]
        self.asymmetry = {name: settings[name] for name in ("gamma_positive", "gamma_negative", "margin")}
        # Not persistent: it is a setting, and checkpoints contain the settings already.
        self.register_buffer("pos_weight", _class_weights(settings["pos_weight"]), persistent=False)
        known = torch.ones(1, NUM_FINDINGS)
        self._mean(0 * known, 0 * known, known)  # a setting out of range fails now, not in the first step

    def forward(self, logits: Tensor, batch: StudyBatch) -> Tensor:
        """Study logits ``[b 14]`` -> their mean loss over the known labels of the batch, a scalar."""
        return self._mean(logits, *training_targets(batch.labels, self.uncertain, batch.study_ids))

    def known(self, batch: StudyBatch) -> Tensor:
        """Number of labels of the batch that :meth:`forward` averages over, a scalar."""
        return training_targets(batch.labels, self.uncertain, batch.study_ids)[1].sum()

    def _mean(self, logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        return finding_loss(logits, targets, mask, kind=self.kind, pos_weight=self.pos_weight, **self.asymmetry)


def _class_weights(weights: list[float] | None) -> Tensor | None:
    """One weight for each finding, float32 ``[14]``; None without weights."""
    if weights is None:
        return None
    if len(weights) != NUM_FINDINGS:
        raise SettingsError(f"model.pos_weight: found {len(weights)} values, must be {NUM_FINDINGS}.")
    named = {f"pos_weight of {name}": weight for name, weight in zip(FINDINGS, weights, strict=True)}
    check_ranges(named, above_zero=named)
    return torch.tensor(weights, dtype=torch.float32)


def report_terms_loss(head: torch.nn.Module, tokens: Tensor, batch: StudyBatch) -> Tensor:
    """Binary cross entropy of the terms that each study's report affirms: a scalar, the mean over terms and films.

    Args:
        head: maps a token of width e to one logit for each of :data:`ammrg.text.report_terms.TERMS`.
        tokens: ``[v n e]``: the n tokens of each film of the batch.
        batch: b studies with v films; the report of a study is the target of each of its films.
    """
    affirmed = torch.tensor([affirmed_terms(report) for report in batch.reports], device=tokens.device)
    logits = head(tokens.mean(dim=1)).float()
    return F.binary_cross_entropy_with_logits(logits, affirmed[batch.study_of_view])
