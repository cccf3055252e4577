"""What HopfieldRetrieval keeps of the stored patterns between two calls, and how much memory it works with."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ammrg.networks import association
from ammrg.networks.hopfield import HopfieldRetrieval
from tests.networks.hopfield_reference import data, make, reference


class _Storages(TorchDispatchMode):
    """Notes the largest storage any operation returns but the given ones, and the layer-norms taken of n rows."""

    def __init__(self, n: int, *given: Tensor) -> None:
        super().__init__()
        self.n, self.largest, self.norms = n, 0, 0
        self.given = {tensor.untyped_storage().data_ptr() for tensor in given}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in self.given:
                self.largest = max(self.largest, tensor.untyped_storage().nbytes() // tensor.element_size())
        if "native_layer_norm" in str(func) and args[0].shape[0] == self.n:
            self.norms += 1
        return result


@pytest.mark.parametrize("training", [False, True])
def test_no_pattern_is_projected_or_expanded_over_the_batch(training: bool) -> None:
    b, s, n, p, heads = 6, 2, 2000, 32, 2
    module = HopfieldRetrieval(16, p, 8, association_width=64, heads=heads, dropout=0.0)
    states, patterns = torch.randn(b, s, 16), torch.randn(n, p)
    mask = torch.rand(b, n) < 0.9
    with _Storages(n) as seen, torch.set_grad_enabled(training):
        for k in (5, 0):
            tokens = module(states, patterns, mask, k=k).tokens
            if training:
                tokens.sum().backward()
    # the largest thing is the normalised patterns: projected they would be 4 times, expanded 6 times that
    assert seen.largest == n * p
    assert seen.norms == 1, "frozen patterns are normalised once"


@pytest.mark.parametrize("training", [False, True])
def test_working_memory_does_not_grow_with_the_stored_patterns(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    b, s, p, heads, at_once = 4, 2, 32, 2, 2**13
    monkeypatch.setattr(association, "NUMBERS_KEPT", 2**15)
    module = HopfieldRetrieval(16, p, 8, 4, heads=heads, dropout=0.1 * training, numbers_at_once=at_once)
    states = torch.randn(b, s, 16)
    largest = []
    for n in (2_000, 32_000):
        patterns, mask = torch.randn(n, p), torch.rand(b, n) < 0.9
        with _Storages(n, patterns, mask) as seen, torch.set_grad_enabled(training):
            for k in (5, 0):
                tokens = module(states, patterns, mask, k=k).tokens
                if training:
                    tokens.sum().backward()
        largest.append(seen.largest)
        assert seen.norms == 0, "patterns are normalised on the way"
    # the mask of a batch is asked whether a row has anything at all; nothing else is as long as the memory
    assert max(largest) <= max(at_once, b * 32_000)
    assert largest[0] <= at_once


@pytest.mark.parametrize("training", [False, True])
def test_scores_of_kept_patterns_are_held_in_blocks(training: bool) -> None:
    b, s, n, p, heads, at_once = 4, 2, 4_000, 4, 2, 2**12
    module = HopfieldRetrieval(16, p, 8, 4, heads=heads, dropout=0.0, numbers_at_once=at_once)
    states, patterns = torch.randn(b, s, 16), torch.randn(n, p)
    with _Storages(n, patterns) as seen, torch.set_grad_enabled(training):
        tokens = module(states, patterns, k=5).tokens
        if training:
            tokens.sum().backward()
    assert seen.largest == n * p < b * s * heads * n, "the kept patterns, not all scores"
    torch.testing.assert_close(tokens, reference(module, states, patterns, None)[0])


def test_a_changed_pattern_is_noticed() -> None:
    module, (states, patterns) = make().eval(), data()
    before = module(states, patterns).tokens
    patterns *= torch.linspace(-1, 1, 10)
    after = module(states, patterns).tokens
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, reference(module, states, patterns, None)[0])
    other = patterns.clone()
    other[0] = -other[0]
    torch.testing.assert_close(module(states, other).tokens, reference(module, states, other, None)[0])


def test_training_after_inference_mode_can_use_the_kept_patterns() -> None:
    module, (states, patterns) = make(), data()
    with torch.inference_mode():
        module.eval()(states, patterns)
    module.train()(states.requires_grad_(), patterns).tokens.sum().backward()
    assert states.grad is not None
    assert states.grad.abs().sum() > 0


def test_the_kept_patterns_are_in_no_state_dict_copy_or_pickle() -> None:
    module, (states, patterns) = make().eval(), data()
    tokens = module(states, patterns).tokens
    assert "fixed_beta" not in module.state_dict()
    assert all(tensor.shape != patterns.shape for tensor in module.state_dict().values())
    assert len(pickle.dumps(module._pattern_norm)) < 200
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):  # a test of pickling, not a file format
        assert torch.equal(twin(states, patterns).tokens, tokens)
