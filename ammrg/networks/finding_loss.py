"""Training targets from study labels, and the loss of the 14 findings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ammrg.errors import SettingsError
from ammrg.findings import UNCERTAIN, UncertainPolicy, check_labels

SMOOTH_TARGET = 0.7
"""Target of "uncertain" under ``smooth``: the mean of U(0.55, 0.85) (Pham et al. 2021, "U-ones + label smoothing").
Cross entropy is linear in its target, so a target drawn anew each time would have the same gradient on average."""

LossKind = Literal["cross_entropy", "asymmetric"]


def training_targets(
    labels: Tensor, policy: UncertainPolicy = "ignore", study_ids: Sequence[str] = ()
) -> tuple[Tensor, Tensor]:
    """Turn labels into targets and a mask of the labels that count.

    A blank label is negative; an uncertain one (-1) follows the policy; an unlabelled study (14 NaN) does not count.

    Args:
        labels: ``[b 14]``: 1, 0, -1 or NaN.
        policy: for uncertain labels: ``ignore``, or the target ``ones`` (1), ``zeros`` (0) or ``smooth``
            (:data:`SMOOTH_TARGET`).
        study_ids: the b studies, for messages.

    Returns:
        (targets in [0, 1], mask with 1 where a label counts and 0 elsewhere), both ``[b 14]``.

    Raises:
        DataError: see :func:`ammrg.findings.check_labels`.
        SettingsError: an unknown policy.
    """
    check_labels(labels, study_ids)
    uncertain = labels == UNCERTAIN
    becomes = {"ignore": 0.0, "ones": 1.0, "zeros": 0.0, "smooth": SMOOTH_TARGET}
    if policy not in becomes:
        raise SettingsError(f"model.uncertain: found {policy!r}, must be one of {', '.join(becomes)}.")
    targets = torch.where(uncertain, torch.full_like(labels, becomes[policy]), labels.nan_to_num(0.0))
    mask = (~labels.isnan().all(dim=1, keepdim=True)).expand_as(labels)
    if policy == "ignore":
        mask = mask & ~uncertain
    return targets, mask.to(labels.dtype)


def prevalence(labels: Tensor, policy: UncertainPolicy = "ignore") -> Tensor:
    """Compute the share of positives among each finding's known labels ``[n 14]``: ``[14]``, 0 where none is known."""
    targets, mask = training_targets(labels, policy)
    return (targets * mask).sum(0) / mask.sum(0).clamp(min=1)


def finding_loss(
    logits: Tensor,
    targets: Tensor,
    mask: Tensor,
    *,
    kind: LossKind = "cross_entropy",
    pos_weight: Tensor | None = None,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    margin: float = 0.05,
) -> Tensor:
    """Average the loss over the known labels; a scalar, 0 where none is known.

    - ``cross_entropy``: -t log p - (1 - t) log(1 - p);
    - ``asymmetric`` (Ridnik et al. 2021, eq. 4-7): -t (1 - p)^gamma_positive log p - (1 - t) p_m^gamma_negative log(1 -
      p_m) with p_m = max(p - margin, 0). Easy negatives, of which there are many, count less, and the easiest not at
      all.

    Args:
        logits: ``[b 14]``.
        targets: ``[b 14]``, from :func:`training_targets`.
        mask: ``[b 14]``, from :func:`training_targets`.
        kind: see above.
        pos_weight: ``[14]``, factor of the positive part; None = 1.
        gamma_positive: 0, or at least 1 (between them, the gradient has a pole).
        gamma_negative: 0, or at least 1.
        margin: in [0, 1).

    Raises:
        SettingsError: an unknown kind, or a gamma or the margin is out of range.
    """
    if kind == "cross_entropy":
        losses = F.binary_cross_entropy_with_logits(
            logits, targets, weight=mask, pos_weight=pos_weight, reduction="sum"
        )
    elif kind == "asymmetric":
        for name, gamma in (("gamma_positive", gamma_positive), ("gamma_negative", gamma_negative)):
            if not (gamma == 0 or gamma >= 1):
                raise SettingsError(f"model.{name}: found {gamma}, must be 0 or at least 1.")
        if not 0 <= margin < 1:
            raise SettingsError(f"model.margin: found {margin}, must lie in [0, 1).")
        positive, negative = logits.sigmoid(), (-logits).sigmoid()
        shifted = (positive - margin).clamp(min=0)
        # log(1 - p_m) is computed from 1 - p, which is exact where p is close to 1.
        log_negative = F.logsigmoid(-logits) if margin == 0 else (negative + margin).clamp(max=1).log()
        hits = -F.logsigmoid(logits) * negative**gamma_positive
        if pos_weight is not None:
            hits = hits * pos_weight
        losses = (mask * (targets * hits - (1 - targets) * log_negative * shifted**gamma_negative)).sum()
    else:
        raise SettingsError(f"model.loss: found {kind!r}, must be cross_entropy or asymmetric.")
    return losses / mask.sum().clamp(min=1)
