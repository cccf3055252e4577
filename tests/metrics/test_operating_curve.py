"""The operating curve of validation scores, checked with scikit-learn's recall and precision."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_score, recall_score
from torch import Tensor

from ammrg.findings import ABNORMAL, FINDINGS, NO_FINDING
from ammrg.metrics.classification import MIN_POSITIVES, choose_thresholds
from ammrg.metrics.operating_curve import operating_curve
from ammrg.operating_points import SETTINGS, OperatingCurve
from ammrg.thresholds import is_predicted

BALANCED = SETTINGS.index(0.5)


def drawn(seed: int, studies: int, grain: int) -> tuple[Tensor, Tensor]:
    """Scores ``[n 14]`` of a classifier that is better for some findings than for others, and their targets."""
    random = torch.Generator().manual_seed(seed)
    targets = (torch.rand(studies, 14, generator=random) < torch.rand(14, generator=random) * 0.6).float()
    scores = torch.randn(studies, 14, generator=random) + targets * torch.rand(14, generator=random) * 8 - 2
    probabilities = scores.sigmoid()
    return (probabilities if grain == 0 else (probabilities * grain).round() / grain), targets


def measured(probabilities: Tensor, targets: Tensor, thresholds: Tensor) -> OperatingCurve:
    return operating_curve(probabilities, targets, torch.ones_like(targets), thresholds, thresholds)


def rising(values: list[float]) -> bool:
    return all(before <= after for before, after in itertools.pairwise(values))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(12, 150), st.sampled_from([0, 0, 10, 50]), st.booleans())
@example(9063, 50, 10, False)  # scores of 0, which no threshold calls
@example(356, 122, 10, False)
@example(15, 117, 0, False)  # fewer than ten right calls when balanced
@example(208, 78, 10, True)
def test_recall_falls_and_precision_rises_from_0_to_1(seed: int, studies: int, grain: int, chosen: bool) -> None:
    probabilities, targets = drawn(seed, studies, grain)
    thresholds = torch.rand(14, generator=torch.Generator().manual_seed(seed))
    if chosen:
        thresholds, _ = choose_thresholds(probabilities, targets, torch.ones_like(targets), targets.mean(0))
    curve = measured(probabilities, targets, thresholds)
    assert rising(curve.calls[::-1])
    for finding, name in enumerate(FINDINGS):
        found = curve.findings[name]
        turned = (lambda values: values[::-1]) if finding == NO_FINDING else list
        assert rising(turned(found.found))
        assert found.found[BALANCED] == float(thresholds[finding])
        assert (found.recall is not None) == (targets[:, finding].sum() >= MIN_POSITIVES)
        if found.recall is None or found.precision is None:
            continue
        assert rising(turned(found.recall)[::-1])
        assert rising(turned(found.precision))
        for place in (0, 5, 10, 15, 20):
            # As the network compares them: float32 with float32.
            called = is_predicted(probabilities[:, finding], torch.tensor(found.found)[place]).numpy()
            truth = targets[:, finding].numpy()
            assert found.recall[place] == pytest.approx(recall_score(truth, called))
            assert found.precision[place] == pytest.approx(precision_score(truth, called, zero_division=1.0))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(30, 150), st.sampled_from([0, 10, 50]))
def test_all_findings_together_recall_falls_and_above_balanced_precision_rises(
    seed: int, studies: int, grain: int
) -> None:
    probabilities, targets = drawn(seed, studies, grain)
    thresholds = torch.rand(14, generator=torch.Generator().manual_seed(seed))
    curve = measured(probabilities, targets, thresholds)
    assert curve.recall is not None
    assert curve.precision is not None
    assert rising(curve.recall[::-1])
    truth = targets[:, list(ABNORMAL)].numpy().ravel()
    precisions = []
    for place, setting in enumerate(SETTINGS):
        shown = torch.tensor(curve.thresholds(setting)[0])
        called = is_predicted(probabilities, shown)[:, list(ABNORMAL)].numpy().ravel()
        precisions.append(precision_score(truth, called, zero_division=1.0))
        assert curve.recall[place] == pytest.approx(recall_score(truth, called))
        assert curve.precision[place] == pytest.approx(precisions[-1])
    assert rising([round(each, 12) for each in precisions[BALANCED:]])


def test_above_balanced_the_finding_that_is_right_least_often_is_given_up_first() -> None:
    """Edema is right in 3 of 20 calls, Atelectasis in 30 of 40, of which the surer half in all; Fracture in 1 of 2."""
    probabilities, targets = torch.full((100, 14), 0.1), torch.zeros(100, 14)
    edema, atelectasis, fracture = (FINDINGS.index(name) for name in ("Edema", "Atelectasis", "Fracture"))
    probabilities[:20, edema], targets[:3, edema], targets[90:, edema] = 0.9, 1, 1
    probabilities[:20, atelectasis], targets[:20, atelectasis] = 0.8, 1
    probabilities[20:40, atelectasis], targets[20:30, atelectasis] = 0.6, 1
    probabilities[:2, fracture], targets[0, fracture] = 0.7, 1
    curve = measured(probabilities, targets, torch.full((14,), 0.5))

    def calls(setting: float) -> list[int]:
        shown = is_predicted(probabilities, torch.tensor(curve.thresholds(setting)[0]))
        return shown.sum(0)[[edema, atelectasis, fracture]].tolist()

    # Right are 34 of 62 calls; without Edema 31 of 42; of the surer half of Atelectasis alone 20 of 20.
    assert calls(0.5) == [20, 40, 2]
    assert calls(0.55) == calls(0.65) == [0, 40, 2]
    assert calls(0.75) == calls(1) == [0, 20, 0]
    # Given up wholly, a finding is still called where it is surer than validation ever was.
    assert curve.findings["Edema"].found[-1] == pytest.approx(0.9)


def test_what_is_not_shown_as_found_is_not_named_above_balanced() -> None:
    probabilities, targets = drawn(3, 150, 0)
    found, named = torch.full((14,), 0.4), torch.full((14,), 0.6)
    curve = operating_curve(probabilities, targets, torch.ones_like(targets), found, named)
    for setting in SETTINGS[BALANCED:]:
        shown, told = curve.thresholds(setting)
        assert all(high >= low for low, high in zip(shown, told, strict=True))


def test_a_score_of_0_is_called_by_no_threshold() -> None:
    """Two of the 12 positives have a score of 0; no setting can find them."""
    positives, negatives = [0.0] * 2 + [0.3] * 6 + [0.8] * 4, [0.0] * 8 + [0.3] * 4 + [0.6] * 2
    probabilities = torch.tensor(positives + negatives)[:, None].expand(-1, 14)
    targets = (torch.arange(len(probabilities)) < len(positives)).float()[:, None].expand(-1, 14)
    found = measured(probabilities, targets, torch.full((14,), 0.5)).findings["Edema"]
    assert found.recall is not None
    assert found.precision is not None
    assert found.recall[0] == found.recall[SETTINGS.index(0.25)] == pytest.approx(10 / 12)
    assert rising(found.recall[::-1])
    assert rising(found.precision)


def test_a_quarter_finds_half_of_what_balanced_misses_and_0_finds_all() -> None:
    # 20 positives, 12 of them above 0.5; between and below those that are missed lie negatives.
    positives = [*(0.6 + i / 100 for i in range(12)), *(0.4 - i / 25 for i in range(8))]
    negatives = [0.55, 0.62, *(0.39 - i / 25 for i in range(9)), *([0.01] * 50)]
    probabilities = torch.tensor(positives + negatives)[:, None].expand(-1, 14)
    targets = (torch.arange(len(probabilities)) < 20).float()[:, None].expand(-1, 14)
    found = measured(probabilities, targets, torch.full((14,), 0.5)).findings["Edema"]
    assert found.recall is not None
    assert found.precision is not None
    assert found.recall[BALANCED] == pytest.approx(12 / 20)
    assert found.recall[SETTINGS.index(0.25)] == pytest.approx(16 / 20)
    assert found.recall[0] == 1
    assert found.precision[BALANCED] == pytest.approx(12 / 14)
    assert found.precision[SETTINGS.index(0.25)] == pytest.approx(16 / (16 + 2 + 3))
    # Above 0.62 there are only positives: at 1 no negative is called, at 0.75 half of the way is reached.
    assert found.precision[-1] == 1
    assert found.precision[SETTINGS.index(0.75)] >= (1 + 12 / 14) / 2
    assert found.recall[-1] == pytest.approx(9 / 20)


def test_a_finding_without_errors_moves_within_its_gap() -> None:
    probabilities = torch.cat([torch.full((20, 14), 0.9), torch.full((30, 14), 0.1)])
    targets = (probabilities > 0.5).float()
    curve = measured(probabilities, targets, torch.full((14,), 0.5))
    found = curve.findings["Edema"]
    assert found.found[0] == pytest.approx(0.1)
    assert found.found[SETTINGS.index(0.25)] == pytest.approx(0.3)
    assert found.found[SETTINGS.index(0.75)] == pytest.approx(0.7)
    assert found.found[-1] == pytest.approx(0.9)
    assert found.recall == found.precision == [1.0] * len(SETTINGS)


def test_with_few_positives_the_setting_says_how_often_a_finding_is_called() -> None:
    probabilities = torch.linspace(0, 1, 101)[:, None].expand(-1, 14)
    targets = torch.zeros(101, 14)
    targets[-3:, FINDINGS.index("Fracture")] = 1
    curve = measured(probabilities, targets, torch.full((14,), 0.895))
    assert curve.recall is curve.precision is None
    found = curve.findings["Fracture"]
    assert (found.recall, found.precision, found.positives) == (None, None, 3)
    called = [int((probabilities[:, 0] > threshold).sum()) for threshold in found.found]
    assert called[BALANCED] == 11
    assert called[SETTINGS.index(0.25)] == pytest.approx(22, abs=1)
    assert called[SETTINGS.index(0.75)] == called[-1] == 11  # in one step, three of eleven right
    assert called[0] == pytest.approx(44, abs=1)
    assert curve.measured == []
    never = measured(probabilities, targets, torch.ones(14)).findings["Fracture"]
    assert never.found == [1.0] * len(SETTINGS)


def test_no_finding_is_turned_the_other_way_and_what_is_never_named_stays_so() -> None:
    probabilities, targets = drawn(1, 150, 0)
    half, never = torch.full((14,), 0.5), torch.full((14,), torch.inf)
    curve = operating_curve(probabilities, targets, torch.ones_like(targets), half, never)
    assert curve.findings["No Finding"].found[0] > 0.5 > curve.findings["No Finding"].found[-1]
    assert curve.findings["Edema"].found[0] < 0.5 < curve.findings["Edema"].found[-1]
    assert all(limit == torch.inf for found in curve.findings.values() for limit in found.named)


def test_studies_whose_label_is_not_known_do_not_count() -> None:
    probabilities, targets = drawn(2, 150, 0)
    mask = torch.ones_like(targets)
    mask[100:] = 0
    half = torch.full((14,), 0.5)
    part = operating_curve(probabilities, targets, mask, half, half)
    alone = measured(probabilities[:100], targets[:100], half)
    assert part.findings == alone.findings
