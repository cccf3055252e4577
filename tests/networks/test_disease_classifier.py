from __future__ import annotations

import json
from typing import get_args

import pytest
import torch

from ammrg.errors import SettingsError
from ammrg.findings import NO_FINDING
from ammrg.networks.disease_classifier import DiseaseClassifier, HeadKind, study_logits, token_evidence
from tests.tiny_encoder import ENCODER

QFORMER = {"width": 16, "layers": 1, "heads": 2, "dropout": 0.0}


def build(head: HeadKind = "per_query") -> DiseaseClassifier:
    torch.manual_seed(0)
    return DiseaseClassifier(ENCODER, QFORMER, head)


def films(count: int = 3) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, 48, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("head", ["per_query", "untied", "pooled"])
def test_shapes_and_rebuilding(head: HeadKind) -> None:
    classifier = build(head).eval()
    seen = classifier(films(), output_attentions=True)
    assert seen.logits.shape == (3, 14)
    assert seen.queries.shape == (3, 14, 16)
    assert seen.tokens.shape == (3, 36, 16)
    assert seen.raw_tokens.shape == (3, 36, 16)
    assert seen.grid == (6, 6)
    assert seen.attention is not None
    assert seen.attention.shape == (3, 14, 36)
    again = DiseaseClassifier.from_config(json.loads(json.dumps(classifier.config))).eval()
    again.load_state_dict(classifier.state_dict())
    torch.testing.assert_close(again(films()).logits, seen.logits)
    assert "thresholds" in classifier.state_dict()


@pytest.mark.parametrize("kind", ["per_query", "untied"])
def test_a_head_per_query_reads_its_own_query_only(kind: HeadKind) -> None:
    head, disease_queries = build(kind).head, torch.randn(14, 16)
    queries = torch.randn(2, 14, 16)
    changed = queries.clone()
    changed[:, 5] += 1
    difference = (head(changed, disease_queries) - head(queries, disease_queries)).abs().amax(0)
    assert difference[5] > 1e-3
    assert difference[torch.arange(14) != 5].max() == 0


def test_an_answer_is_read_with_what_its_query_asked_for() -> None:
    classifier = build().eval()
    classifier.head.bias.data = torch.arange(14.0)
    queries = classifier.qformer.disease_queries
    mean, spread = queries.mean(1, keepdim=True), queries.var(1, unbiased=False, keepdim=True)
    expected = ((queries - mean) / (spread + 1e-5).sqrt()) @ classifier.head.reading / 16
    torch.testing.assert_close(classifier.finding_weights, expected)
    before = classifier(films())
    (gradient,) = torch.autograd.grad(before.logits.sum(), queries, retain_graph=True)
    (wanted,) = torch.autograd.grad((before.queries * expected).sum(), queries)
    torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-5)  # the reading teaches queries too
    assert wanted.abs().max() > 1e-2
    torch.testing.assert_close(before.logits, (before.queries * expected).sum(2) + torch.arange(14.0))
    with torch.no_grad():
        queries[[3, 8]] = queries[[8, 3]].clone()
    after = classifier(films())
    # nothing of a finding is left where its query is not: all but the bias has moved with it
    moved = before.logits - classifier.head.bias
    torch.testing.assert_close((after.logits - classifier.head.bias)[:, [8, 3]], moved[:, [3, 8]])


def test_untied_heads_keep_their_weights_whatever_the_query() -> None:
    classifier = build("untied").eval()
    classifier.head.bias.data = torch.arange(14.0)
    seen = classifier(films())
    torch.testing.assert_close(seen.logits, (seen.queries * classifier.head.weight).sum(2) + torch.arange(14.0))
    before = classifier.finding_weights.clone()
    with torch.no_grad():
        classifier.qformer.disease_queries[[3, 8]] = classifier.qformer.disease_queries[[8, 3]].clone()
    assert torch.equal(classifier.finding_weights, before)
    assert set(dict(classifier.head.named_parameters())) == {"weight", "bias"}
    assert float(before.std()) == pytest.approx(16**-0.5, rel=0.15)
    (gradient,) = torch.autograd.grad(seen.logits.sum(), classifier.head.weight)
    torch.testing.assert_close(gradient, seen.queries.sum(0))


def test_queries_are_drawn_at_the_scale_of_their_head() -> None:
    spread = {head: float(build(head).qformer.disease_queries.std()) for head in get_args(HeadKind)}
    assert spread == pytest.approx({"per_query": 1.0, "untied": 0.02, "pooled": 0.02}, rel=0.15)


def test_pooled_head_is_the_published_one() -> None:
    classifier = build("pooled")
    head, disease_queries = classifier.head, torch.randn(14, 16)
    assert [layer.out_features for layer in head.heads[0] if hasattr(layer, "out_features")] == [384, 48, 48, 2]
    queries = torch.randn(2, 14, 16)
    found = head(queries, disease_queries)
    torch.testing.assert_close(found, head(queries[:, torch.randperm(14)], -disease_queries))  # an average has no order
    pair = head.heads[3](queries.mean(1))
    target = torch.tensor([1, 0])
    expected = torch.nn.functional.cross_entropy(pair, target)
    torch.testing.assert_close(
        torch.nn.functional.binary_cross_entropy_with_logits(found[:, 3], target.float()), expected
    )
    with pytest.raises(SettingsError, match=r"head pooled .* use head per_query or untied"):
        classifier.finding_weights  # noqa: B018


def test_study_logits() -> None:
    logits = torch.randn(5, 14)
    of_view = torch.tensor([0, 0, 1, 3, 3])
    highest = study_logits(logits, of_view, 4)
    mean = study_logits(logits, of_view, 4, "mean")
    for study, rows in {0: [0, 1], 1: [2], 3: [3, 4]}.items():
        expected = logits[rows].amax(0)
        expected[NO_FINDING] = logits[rows, NO_FINDING].amin()
        torch.testing.assert_close(highest[study], expected)
        torch.testing.assert_close(mean[study], logits[rows].mean(0))
    with pytest.raises(SettingsError, match="max or mean"):
        study_logits(logits, of_view, 4, "median")  # type: ignore[arg-type]
    network = DiseaseClassifier.from_config(DiseaseClassifier(ENCODER, QFORMER, views="mean").config)
    torch.testing.assert_close(network.study_logits(logits, of_view, 4), mean)
    with pytest.raises(SettingsError, match="median"):
        DiseaseClassifier(ENCODER, QFORMER, views="median")  # type: ignore[arg-type]


def test_unknown_head() -> None:
    with pytest.raises(SettingsError, match="per_query, untied, pooled"):
        DiseaseClassifier(ENCODER, QFORMER, "linear")  # type: ignore[arg-type]


def test_token_evidence_by_hand() -> None:
    tokens, weight, bias = torch.randn(2, 100, 16), torch.randn(14, 16), torch.randn(14)
    found = token_evidence(tokens, weight, bias)
    expected = torch.log(torch.exp(tokens.double() @ weight.double().T).mean(1)) + bias
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    # tokens that say nothing leave every film at the bias, on any grid: where training begins
    torch.testing.assert_close(token_evidence(torch.zeros(2, 49, 16), weight, bias), bias.expand(2, -1))
