"""The operating curve of a classifier: each finding's threshold at each setting of the dial, from validation scores.

For a finding with enough positives, let R and P be recall and precision of its balanced threshold.

- A setting x < 0.5 asks for the recall R + (1 - 2x) (1 - R): at 0.25 half of the positives that were missed are found,
  at 0 all of them. Of all thresholds with that recall, it takes the one with the highest precision.
- A setting x > 0.5 asks for the precision P + (2x - 1) (Q - P), where Q is the highest that any higher threshold has.
  Of all thresholds with that precision, it takes the one with the highest recall.

So recall never rises and precision never falls as x grows: each setting chooses among fewer thresholds than the one
before it, by the same rule. Scores that lie apart leave a gap for a threshold; where in the gap it lies follows x too,
from its lower to its upper edge (at 0.5 in the middle, or wherever the balanced threshold is), so that the dial also
moves a finding that validation separates without an error.

With fewer positives (:data:`ammrg.metrics.classification.MIN_POSITIVES`), recall and precision would be those of
single studies. The dial then only says how often a finding is called: in 4^(1 - 2x) times as many validation studies
as balanced (twice at 0.25, half at 0.75). A finding that is never called stays so.

"No Finding" is turned the other way: a sensitive reading calls fewer studies normal.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ammrg.findings import ABNORMAL, FINDINGS, NO_FINDING
from ammrg.metrics.classification import MIN_POSITIVES
from ammrg.operating_points import BALANCED, SETTINGS, FindingCurve, OperatingCurve
from ammrg.thresholds import is_predicted

MOST_OFTEN = 4.0
"""How many times as often as balanced a finding with few positives is called at 0; as much less often at 1."""


def operating_curve(
    probabilities: Tensor, targets: Tensor, mask: Tensor, found: Tensor, named: Tensor
) -> OperatingCurve:
    """Measure the curve.

    Args:
        probabilities: ``[n 14]`` of the validation studies, in [0, 1].
        targets: ``[n 14]``, 0 or 1.
        mask: ``[n 14]``, 1 where the target is known.
        found: ``[14]``, balanced thresholds above which a finding is shown as found.
        named: ``[14]``, balanced thresholds above which it is named to the language model; inf = never.
    """
    curves = {}
    for finding, name in enumerate(FINDINGS):
        known = mask[:, finding].bool()
        values, target = probabilities[known, finding].double(), targets[known, finding].double()
        settings = [round(1 - x, 2) for x in SETTINGS] if finding == NO_FINDING else SETTINGS
        moved = {}
        for kind, limits in (("found", found), ("named", named)):
            balanced = float(limits[finding])
            moved[kind] = [_threshold(values, target, balanced, x) for x in settings]
        scores = [_scores(values, target, threshold) for threshold in moved["found"]]
        enough = int(target.sum()) >= MIN_POSITIVES
        curves[name] = FindingCurve(
            found=moved["found"],
            named=moved["named"],
            positives=int(target.sum()),
            recall=[recall for recall, _ in scores] if enough else None,
            precision=[precision for _, precision in scores] if enough else None,
        )
    limits = torch.tensor([curves[FINDINGS[i]].found for i in ABNORMAL], dtype=torch.float64).T  # [settings 13]
    abnormal = probabilities[:, list(ABNORMAL)].double()
    calls = [float(is_predicted(abnormal, row).double().sum(1).mean()) for row in limits]
    return OperatingCurve(len(probabilities), calls, curves)


def _scores(values: Tensor, target: Tensor, threshold: float) -> tuple[float, float]:
    """Recall and precision of a threshold; precision is 1 where it calls no study."""
    called = is_predicted(values, threshold)
    hits = float(target[called].sum())
    return hits / max(1.0, float(target.sum())), hits / max(1, int(called.sum())) if called.any() else 1.0


def _threshold(values: Tensor, target: Tensor, balanced: float, setting: float) -> float:
    """The threshold of one finding at one setting."""
    if setting == BALANCED or math.isinf(balanced) or not len(values):
        return balanced
    if int(target.sum()) < MIN_POSITIVES:
        return _by_frequency(values, balanced, setting)
    cuts = _cuts(values, target, balanced)
    here = next(cut for cut in cuts if cut.low <= balanced < cut.high)
    if setting < BALANCED:
        # Balanced may be worse than another threshold, if it was not chosen on these scores: precision must not rise.
        below = [cut for cut in cuts if cut.high <= here.high and cut.precision <= here.precision]
        wanted = min(here.recall + (1 - 2 * setting) * (1 - here.recall), max(cut.recall for cut in below))
        may = [cut for cut in below if cut.recall >= wanted]
        chosen = max(may, key=lambda cut: (cut.precision, cut.recall))
    else:
        above = [cut for cut in cuts if cut.low >= here.low and cut.called]
        best = max((cut.precision for cut in above), default=here.precision)
        wanted = min(best, here.precision + (2 * setting - 1) * (best - here.precision))
        may = [cut for cut in above if cut.precision >= wanted]
        chosen = max(may, key=lambda cut: (cut.recall, cut.precision), default=here)
    middle = balanced if chosen == here else (chosen.low + chosen.high) / 2
    return _within(chosen, middle, setting)


class _Cut(NamedTuple):
    """All thresholds between two neighbouring scores: they call the same studies."""

    low: float
    high: float
    """A threshold t with low <= t < high calls the same studies."""
    called: int
    recall: float
    precision: float


def _cuts(values: Tensor, target: Tensor, balanced: float) -> list[_Cut]:
    """All different ways to call studies, from most to fewest."""
    scores, group = torch.unique(values, return_inverse=True)
    positives = torch.zeros(len(scores), dtype=torch.float64).index_add(0, group, target)
    everyone = torch.bincount(group, minlength=len(scores)).double()
    hits = positives.flip(0).cumsum(0).flip(0).tolist()  # with this score or a higher one
    called = everyone.flip(0).cumsum(0).flip(0).tolist()
    edges = [min(0.0, balanced), *scores.tolist(), math.inf]
    total = hits[0]
    cuts = [
        _Cut(edges[i], edges[i + 1], int(called[i]), hits[i] / total, hits[i] / called[i])
        for i in range(len(scores))
        if edges[i] < edges[i + 1]  # no threshold calls a study whose score is 0
    ]
    return [*cuts, _Cut(edges[-2], edges[-1], 0, 0.0, 1.0)]


def _within(cut: _Cut, middle: float, setting: float) -> float:
    """Where in its gap a threshold lies: at the lower edge at 0, in the middle at 0.5, just below the upper at 1."""
    if setting < BALANCED:
        threshold = cut.low + 2 * setting * (middle - cut.low)
    elif math.isinf(cut.high):
        threshold = middle
    else:
        threshold = middle + (2 * setting - 1) * (cut.high - middle)
    stored = torch.tensor(threshold)  # float32
    return float(stored if stored < cut.high else torch.tensor(cut.high).nextafter(torch.tensor(0.0)))


def _by_frequency(values: Tensor, balanced: float, setting: float) -> float:
    """The threshold that calls a finding in a multiple of the studies in which balanced calls it."""
    share = float(is_predicted(values, torch.tensor(balanced)).double().mean())
    if share == 0:
        return balanced
    wanted = min(1.0, share * MOST_OFTEN ** (1 - 2 * setting))
    rank = float(values.quantile(1 - wanted))
    return min(balanced, rank) if setting < BALANCED else max(balanced, rank)
