"""Correction of hubs: a pattern that everybody recalls makes room for the others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ammrg.errors import SettingsError
from ammrg.networks.hub_correction import HubCorrection
from ammrg.networks.recall_targets import recall_targets
from tests.tiny_stage2 import batch, build


def settled(associations: torch.Tensor, strength: float) -> HubCorrection:
    _, states, heads, n = associations.shape
    hubs = HubCorrection(torch.randn(n, 4), states, heads, strength)
    for _ in range(2000):
        hubs.observe(associations)
    return hubs


def test_the_usage_is_the_mean_association_and_divides_by_its_power() -> None:
    torch.manual_seed(0)
    associations = torch.randn(6, 3, 2, 9).softmax(dim=-1)
    hubs = settled(associations, strength=0.5)
    usage = associations.mean(dim=0)
    torch.testing.assert_close(hubs.usage, usage)
    corrected = (associations.log() + hubs.bias).softmax(dim=-1)
    divided = associations / usage.sqrt()
    torch.testing.assert_close(corrected, divided / divided.sum(dim=-1, keepdim=True))


def test_before_training_nothing_is_corrected() -> None:
    assert HubCorrection(torch.randn(7, 4), 3, 2, 0.5).bias.abs().max() == 0


def test_with_a_hub_every_study_recalls_its_own_pattern_again() -> None:
    scores = 3 * torch.eye(5)
    scores[:, 4] = 4.0  # all studies are nearer to pattern 4 than to their own
    associations = scores.softmax(dim=-1)[:, None, None]
    assert associations.flatten(1).argmax(dim=1).tolist() == [4] * 5
    corrected = associations.log() + settled(associations, strength=1.0).bias
    assert corrected[:4].flatten(1).argmax(dim=1).tolist() == [0, 1, 2, 3]


def test_a_pattern_never_recalled_has_a_finite_bias() -> None:
    hubs = settled(torch.tensor([1.0, 0.0, 0.0]).view(1, 1, 1, 3), strength=1.0)
    assert hubs.bias.isfinite().all()
    assert hubs.bias[..., 1] > 0 > hubs.bias[..., 0]


def test_the_network_recalls_with_the_correction_and_its_losses_without(llm_folder: Path) -> None:
    network = build(llm_folder, hub_correction=1.0, exclude_self="none").eval()
    memory, shown = network.memory("report"), network.prompt(batch(), associations=6)
    before, _ = memory.associations(batch(), shown.states)
    assert memory.hubs is not None
    usage = torch.tensor([0.9, 0.02, 0.02, 0.02, 0.02, 0.02]).expand_as(memory.hubs.usage)
    memory.hubs.usage.copy_(usage)
    after, _ = memory.associations(batch(), shown.states)
    by_head = memory.retrieval.associations(shown.states, memory.patterns) / usage
    torch.testing.assert_close(after, (by_head / by_head.sum(dim=-1, keepdim=True)).mean(dim=2), rtol=1e-5, atol=1e-6)
    listed = network.prompt(batch(), associations=6).reports
    assert listed is not None
    torch.testing.assert_close(listed.weights, after.sort(dim=-1, descending=True).values, rtol=1e-4, atol=1e-5)
    assert (after[..., 0] < before[..., 0]).all()
    plain = build(llm_folder, exclude_self="none").eval()
    losses = [
        each.memory("report").association_loss(recall_targets(batch()), shown.states, own=True)
        for each in (network, plain)
    ]
    assert losses[0] == losses[1]


def test_the_usage_travels_with_the_weights(llm_folder: Path) -> None:
    network = build(llm_folder, hub_correction=0.5)
    for name in ("visual", "report"):
        network.memory(name).observe(batch(), network.prompt(batch()).states)
    other = build(llm_folder, hub_correction=0.5)
    other.load_trained_state_dict(network.trained_state_dict())
    for name in ("visual", "report"):
        ours, theirs = network.memory(name).hubs, other.memory(name).hubs
        assert ours is not None
        assert theirs is not None
        assert torch.equal(ours.usage, theirs.usage)
        assert ours.usage.std() > 0


def test_a_negative_strength_is_refused(llm_folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"hub_correction must be at least 0, not -0\.5"):
        build(llm_folder, hub_correction=-0.5)


def test_the_usage_follows_its_patterns_when_the_memory_changes() -> None:
    torch.manual_seed(0)
    patterns = torch.randn(5, 4)
    trained = HubCorrection(patterns, 1, 2, 0.5)
    usage = torch.tensor([[[0.5, 0.1, 0.2, 0.15, 0.05], [0.2, 0.2, 0.3, 0.1, 0.2]]])
    trained.usage.copy_(usage)
    smaller = HubCorrection(patterns[[3, 0]], 1, 2, 0.5)
    smaller.load_state_dict(trained.state_dict())
    torch.testing.assert_close(smaller.usage, usage[..., [3, 0]])
    larger = HubCorrection(torch.cat([torch.randn(1, 4), patterns]), 1, 2, 0.5)
    larger.load_state_dict(trained.state_dict())
    torch.testing.assert_close(larger.usage[..., 1:], usage)
    torch.testing.assert_close(larger.usage[..., 0], usage.mean(dim=-1))
    # what is withdrawn or added changes no difference between the scores of the others
    torch.testing.assert_close(larger.bias[..., 1:].diff(), trained.bias.diff())
    for missing in ("keys", "usage"):
        state = {name: value for name, value in trained.state_dict().items() if name != missing}
        with pytest.raises(RuntimeError, match=f'Missing key.*"{missing}"'):
            HubCorrection(patterns, 1, 2, 0.5).load_state_dict(state)


def test_each_copy_of_a_pattern_keeps_its_own_usage() -> None:
    """Reports alike word for word have one pattern, but studies may not recall their own, so their usages differ."""
    patterns = torch.randn(3, 4)[[0, 1, 0, 2, 0]]
    trained = HubCorrection(patterns, 1, 1, 1.0)
    usage = torch.tensor([[[0.3, 0.1, 0.25, 0.15, 0.2]]])
    trained.usage.copy_(usage)
    again = HubCorrection(patterns, 1, 1, 1.0)
    again.load_state_dict(trained.state_dict())
    assert torch.equal(again.usage, usage)
    with_another = HubCorrection(patterns[[0, 0, 0, 0]], 1, 1, 1.0)
    with_another.load_state_dict(trained.state_dict())
    assert torch.equal(with_another.usage, usage[..., [0, 2, 4, 0]])


def test_a_usage_that_all_states_share_is_read_as_before() -> None:
    patterns, usage = torch.randn(3, 4), torch.tensor([0.7, 0.2, 0.1])
    hubs = HubCorrection(patterns, 2, 2, 1.0)
    hubs.load_state_dict({"keys": hubs.keys, "usage": usage})
    torch.testing.assert_close(hubs.usage, usage.expand(2, 2, 3))


def test_each_state_and_head_has_hubs_of_its_own() -> None:
    scores = torch.zeros(4, 2, 1, 5)
    scores[:, 0, :, 0] = 6.0  # every study's first state recalls pattern 0
    scores[:, 1, :, 1] = 6.0  # and its second state pattern 1
    bias = settled(scores.softmax(dim=-1), strength=1.0).bias
    assert bias[0, 0].argmin() == 0
    assert bias[1, 0].argmin() == 1
    assert bias[0, 0, 1] > 0
