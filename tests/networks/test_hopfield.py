"""HopfieldRetrieval against an explicit reference that projects every pattern for every study, in float64."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ammrg.memory.candidates import Candidates, ExactSearch
from ammrg.networks import association
from ammrg.networks.association import NUMBERS_AT_ONCE
from ammrg.networks.hopfield import HopfieldRetrieval
from tests.networks.hopfield_reference import data, make, randomised, reference


def gradients(loss: Tensor, module: HopfieldRetrieval, *inputs: Tensor) -> dict[str, Tensor]:
    named = dict(module.named_parameters()) | {f"input{i}": x for i, x in enumerate(inputs)}
    found = torch.autograd.grad(loss, list(named.values()))
    return dict(zip(named, found, strict=True))


CASES = st.fixed_dictionaries(
    {
        "b": st.integers(1, 3),
        "s": st.integers(1, 3),
        "n": st.integers(1, 9),
        "d": st.integers(2, 6),
        "p": st.integers(2, 7),
        "a": st.integers(1, 5),
        "heads": st.integers(1, 3),
        "out": st.integers(1, 4),
        "steps": st.integers(0, 3),
        "beta": st.floats(0.1, 4.0),
        "learned": st.booleans(),
        "masked": st.booleans(),
        "biased": st.booleans(),
        "block": st.none() | st.integers(1, 9),
        "seed": st.integers(0, 2**31),
    }
)


def build(case: dict[str, Any], dtype: torch.dtype) -> tuple[HopfieldRetrieval, Tensor, Tensor, Tensor | None]:
    torch.manual_seed(case["seed"])
    module = HopfieldRetrieval(
        case["d"],
        case["p"],
        case["out"],
        association_width=case["a"],
        heads=case["heads"],
        beta=[case["beta"] * (1 + h) / case["heads"] for h in range(case["heads"])],
        learned_beta=case["learned"],
        dropout=0.0,
        steps=case["steps"],
        numbers_at_once=case["b"] * case["s"] * case["heads"] * case["block"] if case["block"] else NUMBERS_AT_ONCE,
    )
    module = randomised(module.double(), case["seed"]).to(dtype)
    states = torch.randn(case["b"], case["s"], case["d"], dtype=torch.float64).to(dtype).requires_grad_()
    patterns = torch.randn(case["n"], case["p"], dtype=torch.float64).to(dtype).requires_grad_()
    mask = None
    if case["masked"]:
        mask = torch.rand(case["b"], case["n"]) < 0.6
        mask[:, int(torch.randint(case["n"], ()))] = True
    return module, states, patterns, mask


@settings(max_examples=60, deadline=None, derandomize=True)
@given(CASES)
def test_equals_the_unabsorbed_reference_forward_and_every_gradient(case: dict[str, Any]) -> None:
    module, states, patterns, mask = build(case, torch.float64)
    bias = 2 * torch.randn(case["s"], case["heads"], case["n"], dtype=torch.float64) if case["biased"] else None
    k = min(3, case["n"])
    ours = module(states, patterns, mask, k=k, bias=bias)
    tokens, associations = reference(module, states, patterns, mask, bias=bias)
    torch.testing.assert_close(ours.tokens, tokens, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(
        module.associations(states, patterns, mask, bias=bias), associations, rtol=1e-10, atol=1e-10
    )
    expected = associations.mean(2).topk(k).values
    torch.testing.assert_close(ours.weights, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(associations.mean(2).gather(-1, ours.indices), expected, rtol=1e-10, atol=1e-10)
    weigh = torch.randn_like(tokens)
    got = gradients((ours.tokens * weigh).sum(), module, states, patterns)
    wanted = gradients((tokens * weigh).sum(), module, states, patterns)
    for name in wanted:
        scale = max(1.0, float(wanted[name].abs().max()))
        torch.testing.assert_close(got[name] / scale, wanted[name] / scale, rtol=1e-10, atol=1e-10, msg=name)

    # frozen patterns, as in use: read without a graph, and too many to keep a normalised copy of
    frozen = patterns.detach()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(association, "NUMBERS_KEPT", 0 if case["learned"] else association.NUMBERS_KEPT)
        with torch.no_grad():
            for asked in (0, k):
                unlearned = module(states, frozen, mask, k=asked, bias=bias)
                torch.testing.assert_close(unlearned.tokens, tokens, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(unlearned.weights, expected, rtol=1e-10, atol=1e-10)
        got = gradients((module(states, frozen, mask, k=0, bias=bias).tokens * weigh).sum(), module, states)
    for name in got:
        scale = max(1.0, float(wanted[name].abs().max()))
        torch.testing.assert_close(got[name] / scale, wanted[name] / scale, rtol=1e-10, atol=1e-10, msg=name)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(CASES, st.data())
def test_an_exchange_is_the_layer_with_other_values_in_these_rows(case: dict[str, Any], draw: st.DataObject) -> None:
    """Keys as they are, each value projected again from the pattern that is given."""
    module, states, patterns, mask = build(case, torch.float64)
    row = st.integers(0, case["n"] - 1)
    rows = draw.draw(st.lists(row, min_size=1, max_size=3, unique=True))
    others = draw.draw(st.lists(row, min_size=1, max_size=3))
    _, associations = reference(module, states, patterns, mask)
    tokens = module(states, patterns, mask, k=0).tokens
    for study, found in enumerate(module.associations(states, patterns, mask)):
        change = module.exchange(found, patterns, torch.tensor(rows), torch.tensor(others))
        assert change.shape == (len(others), case["s"], case["out"])
        for other, moved in zip(others, change, strict=True):
            given = patterns.detach().clone()
            given[rows] = given[other].clone()
            given = F.layer_norm(given, (case["p"],), module.value_scale, module.value_shift)
            read = [
                associations[study, :, head] @ F.linear(given, module.value_weight[head], module.value_bias[head])
                for head in range(case["heads"])
            ]
            expected = module.out(torch.cat(read, dim=-1))
            torch.testing.assert_close(tokens[study] + moved, expected, rtol=1e-9, atol=1e-9)
    for_itself = torch.tensor(rows[:1])
    assert module.exchange(found, patterns, for_itself, for_itself).abs().max() < 1e-12


@pytest.mark.parametrize("numbers", [NUMBERS_AT_ONCE, 30])
def test_similarities_are_cosines_after_the_layer_norm(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _, patterns = data()
    patterns[5] = 3 * patterns[2] + 7  # the same after the layer norm
    if numbers == 30:  # three patterns at a time
        monkeypatch.setattr(association, "NUMBERS_KEPT", 0)
    found = make(numbers_at_once=numbers).similarities(patterns, torch.tensor([2, 7]))
    centred = patterns - patterns.mean(dim=1, keepdim=True)
    expected = F.cosine_similarity(centred[[2, 7]][:, None], centred[None], dim=-1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert found[0, 5].item() == pytest.approx(1, abs=1e-5)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(CASES)
def test_float32_is_within_1e_4_of_the_float64_reference(case: dict[str, Any]) -> None:
    # a layer-norm of two or three nearly equal numbers is too steep for float32 by itself
    module, states, patterns, mask = build(case | {"d": 4 + case["d"], "p": 4 + case["p"]}, torch.float32)
    exact = copy.deepcopy(module).double()
    exact_states, exact_patterns = (x.detach().double().requires_grad_() for x in (states, patterns))
    tokens, _ = reference(exact, exact_states, exact_patterns, mask)
    ours = module(states, patterns, mask).tokens
    torch.testing.assert_close(ours.double(), tokens, rtol=1e-4, atol=1e-4)
    got = gradients(ours.sum(), module, states, patterns)
    wanted = gradients(tokens.sum(), exact, exact_states, exact_patterns)
    for name in wanted:
        scale = max(1.0, float(wanted[name].abs().max()))
        torch.testing.assert_close(got[name].double() / scale, wanted[name] / scale, rtol=1e-4, atol=1e-4, msg=name)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("steps", [0, 2])
def test_every_route_gives_the_same(masked: bool, steps: int) -> None:
    module = make(steps=steps).double()
    states, patterns = data(dtype=torch.float64)
    mask = torch.rand(3, 12) < 0.5 if masked else None
    whole = module(states, patterns, mask, k=4)
    with torch.no_grad():
        fused = module(states, patterns, mask, k=0)
        assert fused.weights.shape == (3, 4, 0)
        torch.testing.assert_close(fused.tokens, whole.tokens, rtol=1e-10, atol=1e-10)
        for at_once in (1, 5, 11):  # blocks of patterns, the last one smaller
            module.numbers_at_once = 3 * 4 * 2 * at_once
            in_blocks = module(states, patterns, mask, k=4)
            torch.testing.assert_close(in_blocks.tokens, whole.tokens, rtol=1e-10, atol=1e-10)
            torch.testing.assert_close(in_blocks.weights, whole.weights, rtol=1e-10, atol=1e-10)
            assert torch.equal(in_blocks.indices, whole.indices)


def test_masked_patterns_get_no_weight_and_a_fully_masked_study_gets_zeros() -> None:
    module, (states, patterns) = make(steps=1).train(), data()
    states.requires_grad_()
    mask = torch.ones(3, 12, dtype=torch.bool)
    mask[0, 4:] = False
    mask[1] = False
    tokens, indices, weights = module(states, patterns, mask, k=6)
    assert bool((indices[0][weights[0] > 0] < 4).all())
    torch.testing.assert_close(weights[0].sum(-1), torch.ones(4))  # the 4 that may be recalled, then zeros
    assert bool((weights[0][:, 4:] == 0).all())
    assert bool((tokens[1] == 0).all())
    assert bool((weights[1] == 0).all())
    assert bool((module.associations(states, patterns, mask)[1] == 0).all())
    tokens.sum().backward()
    assert states.grad is not None
    assert bool(states.grad.isfinite().all())
    assert bool((states.grad[1] == 0).all())
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in module.parameters())
    energy = module.energy(states, patterns, mask)
    assert bool(energy[1].isinf().all())
    assert bool(energy[[0, 2]].isfinite().all())


def test_what_is_masked_cannot_matter() -> None:
    module, (states, patterns) = make(steps=2).eval(), data()
    mask = torch.ones(3, 12, dtype=torch.bool)
    mask[:, 7] = False
    before = module(states, patterns, mask).tokens
    changed = patterns.clone()
    changed[7] = 100.0 * torch.randn(10)
    torch.testing.assert_close(module(states, changed, mask).tokens, before)
    torch.testing.assert_close(module(states, patterns[mask[0]]).tokens, before)


def test_autocast_and_bfloat16_keep_the_associations_exact() -> None:
    module, (states, patterns) = make().eval(), data()
    plain = module(states, patterns)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = module(states, patterns)
    assert cast.tokens.dtype == torch.bfloat16
    assert torch.equal(cast.weights, plain.weights)
    torch.testing.assert_close(cast.tokens.float(), plain.tokens, rtol=0.03, atol=0.03)
    half = copy.deepcopy(module).bfloat16()
    tokens = half(states.bfloat16(), patterns.bfloat16()).tokens
    assert tokens.dtype == torch.bfloat16
    torch.testing.assert_close(tokens.float(), plain.tokens, rtol=0.1, atol=0.15)
    module.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        module(states.requires_grad_(), patterns).tokens.float().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in module.parameters())


@pytest.mark.parametrize(("backend", "at_once"), [("aot_eager", NUMBERS_AT_ONCE), ("eager", 3 * 4 * 2 * 5)])
def test_compiles_into_one_graph(backend: str, at_once: int) -> None:
    torch._dynamo.reset()
    module, (states, patterns) = make(steps=1, numbers_at_once=at_once), data()
    mask = torch.rand(3, 12) < 0.8
    compiled = torch.compile(module, backend=backend, fullgraph=True)
    states.requires_grad_()
    found, wanted = compiled(states, patterns, mask, k=4), module(states, patterns, mask, k=4)
    torch.testing.assert_close(found.tokens, wanted.tokens)
    assert torch.equal(found.indices, wanted.indices)
    ours, expected = (torch.autograd.grad(given.tokens.sum(), states)[0] for given in (found, wanted))
    torch.testing.assert_close(ours, expected)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        cast = compiled.eval()(states, patterns, mask, k=0).tokens
    torch.testing.assert_close(cast.float(), wanted.tokens, rtol=0.03, atol=0.03)
    torch._dynamo.reset()


def test_every_parameter_matters_with_and_without_further_steps() -> None:
    states, patterns = data()
    for steps in (0, 2):
        module = make(steps=steps, learned_beta=True)
        module(states, patterns).tokens.square().sum().backward()
        for name, parameter in module.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 1e-7, name
        assert ("key_bias" in dict(module.named_parameters())) == (steps > 0)


def test_starts_soft_whatever_the_widths() -> None:
    for d, p, a in ((16, 32, 8), (384, 768, 256)):
        torch.manual_seed(0)
        module = HopfieldRetrieval(d, p, 4, a, heads=2, dropout=0.0)
        scores = module.associations(torch.randn(4, 8, d), torch.randn(400, p)).log()
        spread = (scores - scores.mean(-1, keepdim=True)).std()
        assert 1.2 < spread < 3.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"beta": 0.0}, "beta"),
        ({"beta": [1.0, 2.0, 3.0]}, "each of the 2 heads"),
        ({"dropout": 1.0}, "dropout"),
        ({"beta": True}, "beta must be one number > 0"),
        ({"beta": [1.0, True]}, "beta must be one number > 0"),
        ({"beta": torch.nan}, "beta must be one number > 0"),
        ({"steps": -1}, "steps must be a whole number of at least 0, not -1"),
        ({"steps": 1.5}, "steps must be a whole number of at least 0, not 1.5"),
        ({"steps": True}, "steps must be a whole number"),
        ({"tolerance": -1e-3}, "tolerance must be at least 0"),
        ({"tolerance": torch.nan}, "tolerance must be at least 0, not nan"),
        ({"association_width": 8.0}, "association_width must be a whole number of at least 1, not 8.0"),
        ({"heads": 0}, "heads"),
        ({"association_width": 0}, "association_width"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize(("b", "s"), [(0, 4), (3, 0)])
@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("searched", [True, False])
@pytest.mark.parametrize("changes", [{}, {"steps": 2}, {"numbers_at_once": 1}])
def test_nothing_asked_is_nothing_recalled(
    b: int, s: int, masked: bool, searched: bool, changes: dict[str, Any]
) -> None:
    module, (_, patterns) = make(dropout=0.1, **changes), data()
    states = torch.zeros(b, s, 6, requires_grad=True)
    mask = torch.ones(b, len(patterns), dtype=torch.bool) if masked else None
    candidates = Candidates(ExactSearch(patterns), 5) if searched else None
    for each in (module.train(), module.eval()):
        found = each(states, patterns.float(), mask, k=3, candidates=candidates)
        assert found.tokens.shape == (b, s, module.out_width)
        assert found.weights.shape == found.indices.shape == (b, s, 3)
        found.tokens.sum().backward()
    assert module.associations(states, patterns.float(), mask).shape == (b, s, module.heads, len(patterns))
    assert module.energy(states, patterns.float(), mask).shape == (b, s, module.heads)


def test_bad_inputs_are_refused_with_both_numbers() -> None:
    module, (states, patterns) = make(), data()
    mask = torch.ones(3, 12, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"states must be \[b s 6\], not \[3, 4, 5\]"):
        module(states[..., :5], patterns)
    with pytest.raises(ValueError, match=r"patterns must be \[n 10\], not \[12, 9\]"):
        module(states, patterns[:, :9])
    with pytest.raises(ValueError, match="without patterns"):
        module(states, patterns[:0])
    with pytest.raises(ValueError, match=r"mask must be bool \[3 12\]"):
        module(states, patterns, mask.float())
    with pytest.raises(ValueError, match=r"mask must be bool \[3 12\]"):
        module(states, patterns, mask[:2])
    with pytest.raises(ValueError, match="k must be at least 0"):
        module(states, patterns, k=-1)
    assert module(states, patterns, k=50).weights.shape == (3, 4, 12)
