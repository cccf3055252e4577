"""The scores of stage 1 on one test split."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ammrg.findings import FINDINGS
from ammrg.metrics.classification import finding_scores
from ammrg.networks.class_activation import MapMethod
from ammrg.networks.finding_loss import training_targets


def classification_scores(
    probabilities: Tensor, labels: Tensor, subjects: Tensor, thresholds: Tensor, fallback: Tensor, resamples: int
) -> dict[str, Any]:
    """:func:`ammrg.metrics.classification.finding_scores`, and the ``thresholds`` that F1 uses.

    Args:
        probabilities: ``[n 14]`` in [0, 1].
        labels: ``[n 14]``: 1, 0, -1, NaN. Uncertain labels are left out of their finding's scores; blank is negative.
        subjects: int64 ``[n]``, keys of the patients.
        thresholds: ``[14]`` in [0, 1].
        fallback: bool ``[14]``, whether the threshold follows the prevalence because there were too few positives.
        resamples: number of bootstrap resamples of patients, for the intervals.
    """
    targets, mask = training_targets(labels)
    scores = finding_scores(probabilities, targets, mask, subjects, thresholds, resamples)
    scores["thresholds"] = {
        name: {"value": float(thresholds[i]), "fallback": bool(fallback[i])} for i, name in enumerate(FINDINGS)
    }
    return scores


def map_scores(by_method: dict[MapMethod, dict[str, Any]], cam: MapMethod) -> dict[str, Any]:
    """Scores of the map method in use, its name as ``cam``, and ``pointing_game_by_method`` of all methods.

    Empty if the split has no box.

    Args:
        by_method: :func:`ammrg.metrics.pointing.pointing_scores` of each method.
        cam: the method in use.
    """
    if not by_method:
        return {}
    games = {method: scores["pointing_game"] for method, scores in by_method.items()}
    return {**by_method[cam], "cam": cam, "pointing_game_by_method": games}
