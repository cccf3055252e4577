"""Scores of a classifier with bootstrap intervals over patients, vectorised over the resamples.

Every score takes weights ``[r n]``, with ``r`` = resamples + 1 and ``n`` = studies. Row 0 is all ones and gives the
plain score. The other rows are resamples: how often each study was drawn. All resamples share one sort.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ammrg.findings import FINDINGS, NUM_FINDINGS
from ammrg.metrics.bootstrap import drawable, with_interval
from ammrg.metrics.f1_threshold import f1_threshold
from ammrg.thresholds import is_predicted

MIN_POSITIVES = 10
"""With fewer positives in validation, a finding's threshold is the quantile of its prevalence in training."""


def patient_weights(subjects: Tensor, resamples: int, seed: int = 0) -> Tensor:
    """Weights float64 ``[1 + resamples, n]``: ones, then bootstrap counts; a patient's studies are drawn together.

    ``subjects``: int64 ``[n]``, a key for each patient.
    """
    patients, index = torch.unique(subjects.cpu(), return_inverse=True)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(patients), (resamples, len(patients)), generator=generator)
    counts = torch.zeros(resamples, len(patients), dtype=torch.float64)
    counts.scatter_add_(1, drawn, torch.ones_like(drawn, dtype=torch.float64))
    return torch.cat([torch.ones(1, len(index), dtype=torch.float64), counts[:, index]])


def once_each(studies: int) -> Tensor:
    """Weights float64 ``[1 n]`` that count every study once, for plain scores."""
    return torch.ones(1, studies, dtype=torch.float64)


def _by_score(scores: Tensor, target: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weight of positives and of negatives at each distinct score, in ascending order: two ``[r g]``."""
    values, group = torch.unique(scores, return_inverse=True)
    empty = weights.new_zeros(len(weights), len(values))
    positives = empty.index_add(1, group, weights * target)
    return positives, empty.index_add(1, group, weights * (1 - target))


def auroc(scores: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Area under the ROC curve ``[r]`` (ties count half); NaN if a class is missing.

    ``scores`` ``[n]`` any reals, ``target`` ``[n]`` 0 or 1, ``weights`` ``[r n]``.
    """
    positives, negatives = _by_score(scores, target.to(weights.dtype), weights)
    below = negatives.cumsum(1) - negatives / 2
    return (positives * below).sum(1) / (positives.sum(1) * negatives.sum(1))


def average_precision(scores: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Sum over thresholds of (recall step) x precision ``[r]``, without interpolation; NaN without positives."""
    positives, negatives = _by_score(scores, target.to(weights.dtype), weights)
    true = positives.flip(1).cumsum(1)
    called = true + negatives.flip(1).cumsum(1)
    precision = torch.where(called > 0, true / called.clamp(min=1e-12), torch.zeros_like(true))
    return (positives.flip(1) * precision).sum(1) / positives.sum(1)


def f1(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """2 TP / (2 TP + FP + FN) ``[r]``; 0 if there is neither a positive target nor a positive prediction."""
    predicted, target = predicted.to(weights.dtype), target.to(weights.dtype)
    hits = (weights * predicted * target).sum(1)
    total = (weights * (predicted + target)).sum(1)
    return torch.where(total > 0, 2 * hits / total.clamp(min=1e-12), torch.zeros_like(total))


def calibration_error(probabilities: Tensor, target: Tensor, weights: Tensor, bins: int = 15) -> Tensor:
    """Expected calibration error ``[r]`` in [0, 1] of one binary finding (Naeini et al. 2015).

    The weighted mean, over bins of equal width, of the absolute difference between mean probability and frequency.
    """
    place = (probabilities * bins).long().clamp(0, bins - 1)
    gaps = weights * (probabilities.to(weights.dtype) - target.to(weights.dtype))
    return weights.new_zeros(len(weights), bins).index_add(1, place, gaps).abs().sum(1) / weights.sum(1)


def choose_thresholds(
    probabilities: Tensor, targets: Tensor, mask: Tensor, prevalence: Tensor
) -> tuple[Tensor, Tensor]:
    """Each finding's threshold, and whether it is a fallback: float32 and bool, ``[14]`` each.

    A finding counts as predicted if its probability is above the threshold: that of
    :func:`ammrg.metrics.f1_threshold.f1_threshold`. With fewer than :data:`MIN_POSITIVES` positives it is instead the
    quantile that calls the same share of studies positive as in training (0.5 if that share is unknown).

    Args:
        probabilities: ``[n 14]`` of the validation split, in [0, 1].
        targets: ``[n 14]``, 0 or 1.
        mask: ``[n 14]``, 1 where the target is known.
        prevalence: ``[14]``, share of positives in training, NaN if unknown.
    """
    thresholds, fallback = torch.full((NUM_FINDINGS,), 0.5), torch.zeros(NUM_FINDINGS, dtype=torch.bool)
    for finding in range(NUM_FINDINGS):
        known = mask[:, finding].bool()
        values, target = probabilities[known, finding], targets[known, finding]
        fallback[finding] = int(target.sum()) < MIN_POSITIVES
        if not fallback[finding]:
            thresholds[finding] = f1_threshold(values, target)
        elif not prevalence[finding].isnan() and len(values):
            thresholds[finding] = values.quantile(1 - float(prevalence[finding]))
    return thresholds, fallback


def finding_scores(
    probabilities: Tensor, targets: Tensor, mask: Tensor, subjects: Tensor, thresholds: Tensor, resamples: int
) -> dict[str, Any]:
    """All scores of a split, each {value, low, high} with a 95% interval over patients; None if undefined.

    Args:
        probabilities: ``[n 14]``, in [0, 1].
        targets: ``[n 14]``, 0 or 1.
        mask: ``[n 14]``, 1 where the target is known.
        subjects: int64 ``[n]``, keys of the patients.
        thresholds: ``[14]``, for F1.
        resamples: number of bootstrap resamples of the patients; with too few patients there is no interval.

    Returns:
        ``{auroc_macro, auroc: {finding}, ap_macro, ap, f1_macro, f1, ece, ece_by_finding, positives: {finding},
        undefined: [finding], studies}``. ``undefined`` names the findings without a positive or without a negative
        study in the split: they have no AUROC, and the macro AUROC leaves them out.
    """
    keys = subjects.reshape(-1)  # torchmetrics turns a single study into a scalar
    weights = patient_weights(keys, drawable(len(torch.unique(keys)), resamples))
    columns: dict[str, list[Tensor]] = {"auroc": [], "ap": [], "f1": [], "ece": []}
    for finding in range(NUM_FINDINGS):
        known = mask[:, finding].bool()
        values, target, weight = probabilities[known, finding], targets[known, finding], weights[:, known]
        columns["auroc"].append(auroc(values, target, weight))
        columns["ap"].append(average_precision(values, target, weight))
        columns["f1"].append(f1(is_predicted(values, thresholds[finding]), target, weight))
        columns["ece"].append(calibration_error(values, target, weight))
    scores: dict[str, Any] = {}
    for key, rows in columns.items():
        scores[key if key == "ece" else f"{key}_macro"] = with_interval(torch.stack(rows).nanmean(0).numpy())
        by_finding = {name: with_interval(row.numpy()) for name, row in zip(FINDINGS, rows, strict=True)}
        scores["ece_by_finding" if key == "ece" else key] = by_finding
    scores["positives"] = {name: int((targets * mask)[:, i].sum()) for i, name in enumerate(FINDINGS)}
    scores["undefined"] = [name for name in FINDINGS if scores["auroc"][name]["value"] is None]
    scores["studies"] = len(probabilities)
    return scores
