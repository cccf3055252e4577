"""Targets by hand, and the losses against plain definitions in float64."""

from __future__ import annotations

import math

import pytest
import torch

from ammrg.errors import DataError, SettingsError
from ammrg.findings import NUM_FINDINGS
from ammrg.networks.finding_loss import finding_loss, training_targets


def test_targets() -> None:
    labels = torch.full((3, NUM_FINDINGS), math.nan)
    labels[0, :3] = torch.tensor([1.0, 0.0, -1.0])
    labels[1, 0] = 0.0
    targets, mask = training_targets(labels)
    assert targets[0, :4].tolist() == [1, 0, 0, 0]
    assert mask[0, :4].tolist() == [1, 1, 0, 1]  # blank is negative, uncertain is left out
    assert mask[2].sum() == 0  # unlabelled
    for policy, value in {"ones": 1.0, "zeros": 0.0, "smooth": 0.7}.items():
        targets, mask = training_targets(labels, policy)  # type: ignore[arg-type]
        assert targets[0, 2].item() == pytest.approx(value)
        assert mask[0, 2] == 1
    with pytest.raises(SettingsError, match=r"model\.uncertain"):
        training_targets(labels[:1], "maybe")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [2.0, 0.5, -2.0, math.inf])
def test_a_label_that_is_none_names_study_and_finding(value: float) -> None:
    labels = torch.zeros(2, NUM_FINDINGS)
    labels[1, 4] = value
    with pytest.raises(DataError, match=f"Edema of study s77 is {value:g}; a label is 1, 0, -1"):
        training_targets(labels, study_ids=["s12", "s77"])


def case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, NUM_FINDINGS, generator=generator, dtype=torch.float64) * 4
    targets = torch.randint(0, 3, (6, NUM_FINDINGS), generator=generator).double() / 2  # 0, 0.5, 1
    mask = (torch.rand(6, NUM_FINDINGS, generator=generator) < 0.8).double()
    return logits, targets, mask


def test_smooth_is_the_mean_of_drawn_targets() -> None:
    """The reason for a constant: the gradient of cross entropy is linear in its target."""
    logits, _, mask = case()
    logits.requires_grad_(True)
    drawn = []
    for target in (0.55, 0.62, 0.78, 0.85):  # mean 0.7
        loss = finding_loss(logits, torch.full_like(mask, target), mask)
        drawn.append(torch.autograd.grad(loss, logits)[0])
    (smooth,) = torch.autograd.grad(finding_loss(logits, torch.full_like(mask, 0.7), mask), logits)
    torch.testing.assert_close(smooth, torch.stack(drawn).mean(0))


@pytest.mark.parametrize(("gamma_positive", "gamma_negative", "margin"), [(0, 4, 0.05), (1, 4, 0.05), (2.5, 1, 0.2)])
def test_asymmetric_loss_term_by_term(gamma_positive: float, gamma_negative: float, margin: float) -> None:
    logits, targets, mask = case()
    weights = torch.linspace(0.5, 3, NUM_FINDINGS, dtype=torch.float64)
    total = 0.0
    for row in range(6):
        for i in range(NUM_FINDINGS):
            if not mask[row, i]:
                continue
            p = 1 / (1 + math.exp(-float(logits[row, i])))
            t = float(targets[row, i])
            p_m = max(p - margin, 0.0)
            total -= t * float(weights[i]) * (1 - p) ** gamma_positive * math.log(p)
            total -= (1 - t) * p_m**gamma_negative * math.log(1 - p_m)
    found = finding_loss(
        logits,
        targets,
        mask,
        kind="asymmetric",
        pos_weight=weights,
        gamma_positive=gamma_positive,
        gamma_negative=gamma_negative,
        margin=margin,
    )
    assert found.item() == pytest.approx(total / float(mask.sum()), rel=1e-9)


def test_asymmetric_without_focus_and_margin_is_cross_entropy() -> None:
    logits, targets, mask = case()
    weights = torch.linspace(0.5, 3, NUM_FINDINGS, dtype=torch.float64)
    for pos_weight in (None, weights):
        plain = finding_loss(logits, targets, mask, pos_weight=pos_weight)
        bare = finding_loss(logits, targets, mask, kind="asymmetric", pos_weight=pos_weight, gamma_negative=0, margin=0)
        torch.testing.assert_close(bare, plain)


def test_extreme_logits_and_nothing_known_stay_finite() -> None:
    logits = torch.tensor([[80.0, -80.0] * 7, [-80.0, 80.0] * 7], requires_grad=True)
    targets = torch.tensor([[1.0, 0.0] * 7] * 2)
    for margin in (0.0, 0.05):
        loss = finding_loss(logits, targets, torch.ones(2, 14), kind="asymmetric", margin=margin)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite()
        assert gradient.isfinite().all()
    assert finding_loss(logits, targets, torch.zeros(2, 14)).item() == 0


def test_refusals() -> None:
    logits, targets, mask = case()
    with pytest.raises(SettingsError, match=r"model\.loss"):
        finding_loss(logits, targets, mask, kind="hinge")  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"gamma_negative: found 0\.5"):
        finding_loss(logits, targets, mask, kind="asymmetric", gamma_negative=0.5)
    with pytest.raises(SettingsError, match=r"model\.margin"):
        finding_loss(logits, targets, mask, kind="asymmetric", margin=1.0)
