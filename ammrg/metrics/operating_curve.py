"""The operating curve of a classifier: each finding's threshold at each setting of the dial, from validation scores.

**More sensitive than balanced**, each finding for itself: with R the recall of its balanced threshold, a setting
x < 0.5 asks for the recall R + (1 - 2x) (1 - R): at 0.25 half of the positives that were missed are found, at 0 all of
them. Of all thresholds with that recall, it takes the one with the highest precision.

**More specific**, all abnormal findings together: the calls of each finding are cut into steps of its score with ever
higher precision (isotonic regression of the labels on the scores; de Leeuw, Hornik and Mair 2009, JSS 32(5),
doi:10.18637/jss.v032.i05). Given up first are the steps, of whatever finding, that are right least often, so precision,
counted over all calls that are left, never falls. It is P when balanced; let Q be the highest still told from 10
right calls, or from all where balanced has fewer. A setting x > 0.5 gives up as few as reach P + (2x - 1) (Q - P). To
ask each finding for its own best instead would give up most calls of a finding that is called rightly, and leave those
of one that never is.

So no finding's recall rises, and no precision falls, as x grows. Scores that lie apart leave a gap for a threshold;
where in the gap it lies follows x too, from its lower to its upper edge (at 0.5 in the middle, or wherever the balanced
threshold is), so that the dial also moves a finding that validation separates without an error.

With fewer positives than :data:`ammrg.metrics.classification.MIN_POSITIVES`, recall and precision would be those of
single studies. Below 0.5 the dial then only says how often a finding is called: in 4^(1 - 2x) times as many validation
studies as balanced (twice at 0.25). Above 0.5 all its calls are one step. A finding that is never called stays so.

"No Finding" is turned the other way, alone: a sensitive reading calls fewer studies normal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

from ammrg.findings import ABNORMAL, FINDINGS, NO_FINDING
from ammrg.metrics.classification import MIN_POSITIVES
from ammrg.operating_points import BALANCED, SETTINGS, FindingCurve, OperatingCurve
from ammrg.thresholds import is_predicted

MOST_OFTEN = 4.0
"""How many times as often as balanced a finding with few positives is called at 0."""


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
    known = mask.bool()
    columns = [_Column(probabilities[known[:, i], i].double(), targets[known[:, i], i].double()) for i in range(14)]
    shown, told = (_turned(columns, limits.tolist()) for limits in (found, named))
    told = [[_named(*each) for each in zip(SETTINGS, *rows, strict=True)] for rows in zip(shown, told, strict=True)]
    curves = {}
    for finding, name in enumerate(FINDINGS):
        counts = [columns[finding].counts(threshold) for threshold in shown[finding]]
        enough = columns[finding].positives >= MIN_POSITIVES
        curves[name] = FindingCurve(
            found=shown[finding],
            named=told[finding],
            positives=columns[finding].positives,
            recall=[hits / columns[finding].positives for _, hits in counts] if enough else None,
            precision=[_precision(*each) for each in counts] if enough else None,
        )
    limits = torch.tensor([curves[FINDINGS[i]].found for i in ABNORMAL], dtype=torch.float64).T  # [settings 13]
    abnormal = probabilities[:, list(ABNORMAL)].double()
    calls = [float(is_predicted(abnormal, row).double().sum(1).mean()) for row in limits]
    return OperatingCurve(len(probabilities), calls, *_together([columns[i] for i in ABNORMAL], limits), curves)


class _Column(NamedTuple):
    """One finding in the validation studies in which its label is known."""

    scores: Tensor
    """``[m]``, float64, in [0, 1]."""
    target: Tensor
    """``[m]``, float64, 0 or 1."""

    @property
    def positives(self) -> int:
        return int(self.target.sum())

    def counts(self, threshold: float) -> tuple[int, int]:
        """Studies in which a threshold calls the finding, and those of them that have it."""
        called = is_predicted(self.scores, threshold)
        return int(called.sum()), int(self.target[called].sum())


def _named(setting: float, found: float, named: float) -> float:
    """Above balanced, what is not shown as found is not named either."""
    return max(found, named) if setting > BALANCED else named


def _precision(called: float, hits: float) -> float:
    """1 where nothing is called."""
    return hits / called if called else 1.0


def _together(columns: Sequence[_Column], limits: Tensor) -> tuple[list[float] | None, list[float] | None]:
    """Recall and precision of all calls in one count, at each setting; None where there are too few positives."""
    positives = sum(column.positives for column in columns)
    if positives < MIN_POSITIVES:
        return None, None
    counts = [[column.counts(float(t)) for column, t in zip(columns, row, strict=True)] for row in limits]
    hits = [sum(hits for _, hits in row) for row in counts]
    called = [sum(called for called, _ in row) for row in counts]
    return [each / positives for each in hits], list(map(_precision, called, hits))


def _turned(columns: Sequence[_Column], balanced: Sequence[float]) -> list[list[float]]:
    """Thresholds of the 14 findings at each of :data:`ammrg.operating_points.SETTINGS`."""
    turned = [[limit] for limit in balanced]
    for group in (ABNORMAL, (NO_FINDING,)):
        specific = _later([columns[i] for i in group], [balanced[i] for i in group])
        for finding, later in zip(group, specific, strict=True):
            sooner = [_sooner(columns[finding], balanced[finding], x) for x in SETTINGS if x < BALANCED]
            turned[finding] = [*sooner, balanced[finding], *later]
    turned[NO_FINDING].reverse()
    return turned


def _sooner(column: _Column, balanced: float, setting: float) -> float:
    """The threshold of one finding at a setting below balanced."""
    if math.isinf(balanced) or not len(column.scores):
        return balanced
    if column.positives < MIN_POSITIVES:
        return _by_frequency(column, balanced, setting)
    cuts = _cuts(column, balanced)
    here = next(cut for cut in cuts if cut.high > balanced)
    # Balanced may be worse than another threshold, if it was not chosen on these scores: precision must not rise.
    below = [cut for cut in cuts if cut.high <= here.high and cut.precision <= here.precision]
    wanted = min(here.hits + (1 - 2 * setting) * (column.positives - here.hits), max(cut.hits for cut in below))
    chosen = max((cut for cut in below if cut.hits >= wanted), key=lambda cut: (cut.precision, cut.hits))
    return _within(chosen, balanced if chosen == here else (chosen.low + chosen.high) / 2, setting)


def _later(columns: Sequence[_Column], balanced: Sequence[float]) -> list[list[float]]:
    """The thresholds of several findings at each setting above balanced."""
    settings = [x for x in SETTINGS if x > BALANCED]
    steps = [_steps(column, limit) for column, limit in zip(columns, balanced, strict=True)]
    levels = _levels([step for each in steps for step in each])
    turned = []
    for limit, each in zip(balanced, steps, strict=True):
        if not each:
            turned.append([limit] * len(settings))
        else:
            asked = [_asked(levels, 2 * x - 1) for x in settings]
            turned.append([_given_up(each, limit, level, x) for level, x in zip(asked, settings, strict=True)])
    return turned


class _Step(NamedTuple):
    """Neighbouring scores at which a finding is called, and given up together."""

    called: int
    hits: int
    before: _Cut
    """The thresholds that call these studies and those with higher scores."""
    after: _Cut
    """The thresholds that call only those with higher scores."""

    @property
    def precision(self) -> float:
        return _precision(self.called, self.hits)


def _steps(column: _Column, balanced: float) -> list[_Step]:
    """The steps of a finding's scores above its balanced threshold, of ever higher precision."""
    if math.isinf(balanced) or not len(column.scores):
        return []
    cuts = [cut for cut in _cuts(column, balanced) if cut.high > balanced]
    pairs = list(pairwise(cuts))
    if not pairs:
        return []
    called = [before.called - after.called for before, after in pairs]
    hits = [before.hits - after.hits for before, after in pairs]
    shares = [hit / call for hit, call in zip(hits, called, strict=True)]
    few = column.positives < MIN_POSITIVES
    ends = [0, len(pairs)] if few else isotonic_regression(shares, weights=called).blocks.tolist()
    return [
        _Step(sum(called[start:end]), sum(hits[start:end]), cuts[start], cuts[end]) for start, end in pairwise(ends)
    ]


def _levels(steps: Sequence[_Step]) -> list[tuple[float, float]]:
    """Each precision below which steps may be given up, with that of all calls that are then left, both rising.

    Only those that leave enough right calls to tell a precision, or all of them.
    """
    enough = min(MIN_POSITIVES, sum(step.hits for step in steps))
    levels = []
    for level in sorted({step.precision for step in steps}):
        kept = [step for step in steps if step.precision >= level]
        hits = sum(step.hits for step in kept)
        if hits >= enough:
            levels.append((level, hits / sum(step.called for step in kept)))
    return levels


def _asked(levels: Sequence[tuple[float, float]], share: float) -> float:
    """The lowest level that reaches a share of the way from the first precision to the last."""
    first, last = levels[0][1], levels[-1][1]
    wanted = min(last, first + share * (last - first))
    return next(level for level, precision in levels if precision >= wanted)


def _given_up(steps: Sequence[_Step], balanced: float, level: float, setting: float) -> float:
    """The threshold of one finding whose steps below a level of precision are given up."""
    given_up = [step for step in steps if step.precision < level]
    if not given_up:
        return _within(steps[0].before, balanced, setting)
    cut = given_up[-1].after
    # A finding that is given up wholly is called where its score is higher than any that validation had.
    return cut.low if math.isinf(cut.high) else _within(cut, (cut.low + cut.high) / 2, setting)


class _Cut(NamedTuple):
    """All thresholds between two neighbouring scores: they call the same studies."""

    low: float
    high: float
    """A threshold t with low <= t < high calls the same studies."""
    called: int
    hits: int

    @property
    def precision(self) -> float:
        return _precision(self.called, self.hits)


def _cuts(column: _Column, balanced: float) -> list[_Cut]:
    """All different ways to call studies, from most to fewest."""
    scores, group = torch.unique(column.scores, return_inverse=True)
    positives = torch.zeros(len(scores), dtype=torch.float64).index_add(0, group, column.target)
    everyone = torch.bincount(group, minlength=len(scores)).double()
    hits = positives.flip(0).cumsum(0).flip(0).tolist()  # with this score or a higher one
    called = everyone.flip(0).cumsum(0).flip(0).tolist()
    edges = [min(0.0, balanced), *scores.tolist(), math.inf]
    cuts = [
        _Cut(edges[i], edges[i + 1], int(called[i]), int(hits[i]))
        for i in range(len(scores))
        if edges[i] < edges[i + 1]  # no threshold calls a study whose score is 0
    ]
    return [*cuts, _Cut(edges[-2], edges[-1], 0, 0)]


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


def _by_frequency(column: _Column, balanced: float, setting: float) -> float:
    """The threshold that calls a finding in a multiple of the studies in which balanced calls it."""
    share = column.counts(balanced)[0] / len(column.scores)
    if share == 0:
        return balanced
    wanted = min(1.0, share * MOST_OFTEN ** (1 - 2 * setting))
    rank = float(column.scores.quantile(1 - wanted))
    return min(balanced, rank)
