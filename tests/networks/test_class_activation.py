"""All maps at once against the plain definition: one film, one finding, one backward through the whole network."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ammrg.errors import SettingsError
from ammrg.networks.class_activation import MAP_METHODS, MapMethod, activation_maps, compared_maps, methods_of
from ammrg.networks.disease_classifier import DiseaseClassifier, HeadKind

ENCODERS: dict[str, dict[str, Any]] = {
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    "swin": {"image_size": 64, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4},
    "dinov2": {
        "image_size": 64,
        "patch_size": 8,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    },
}


def build(model_type: str = "resnet", head: HeadKind = "per_query", scale: float = 1.5) -> DiseaseClassifier:
    torch.manual_seed(3)
    encoder = {"config": {"model_type": model_type, "num_channels": 1, **ENCODERS[model_type]}}
    qformer = {"width": 16, "layers": 2, "heads": 2, "cross_attention_every": 1, "dropout": 0.1}
    classifier = DiseaseClassifier(encoder, qformer, head).eval()
    for parameter in classifier.parameters():  # far from the near-uniform start, so that maps differ
        parameter.data *= scale
    return classifier


def films(count: int = 3) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def plain_map(classifier: DiseaseClassifier, film: torch.Tensor, finding: int, method: str) -> torch.Tensor:
    """Selvaraju et al. 2017, eq. 1 and 2, through a hook on the encoder and a full backward."""
    kept: list[torch.Tensor] = []
    handle = classifier.encoder.register_forward_hook(lambda _m, _i, out: kept.append(out.tokens))
    logits = classifier(film[None]).logits
    handle.remove()
    activations = kept[0]
    activations.retain_grad()
    classifier.zero_grad()
    logits[0, finding].backward()
    assert activations.grad is not None
    a, g = activations[0].detach(), activations.grad[0]
    side = int(len(a) ** 0.5)
    if method == "gradcam":
        total = torch.zeros_like(a[:, 0])
        for k in range(a.shape[1]):
            total = total + g[:, k].mean() * a[:, k]
    else:
        total = (g * a).sum(1)
    return total.clamp(min=0).view(side, side)


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
@pytest.mark.parametrize(
    ("model_type", "head"),
    [("resnet", "per_query"), ("resnet", "pooled"), ("swin", "per_query"), ("dinov2", "per_query")],
)
def test_equals_the_plain_definition(model_type: str, head: HeadKind, method: MapMethod) -> None:
    classifier = build(model_type, head).double()  # float64: what differs is the definition, not the rounding
    maps, seen = activation_maps(classifier, films(), method)
    assert maps.shape == (3, 14, 8, 8)
    torch.testing.assert_close(seen.logits, classifier(films()).logits.detach(), atol=1e-5, rtol=0)
    scale = maps.amax()
    assert scale > 0
    for view in range(3):
        for finding in range(14):
            expected = plain_map(classifier, films()[view], finding, method)
            torch.testing.assert_close(maps[view, finding] / scale, expected / scale, atol=1e-5, rtol=0)


def test_gradient_of_the_sum_would_differ() -> None:
    """Guards the reason for the batched backward: queries attend to each other."""
    classifier = build()
    tokens, grid = classifier.encoder(films(1))
    leaves = tokens.detach().requires_grad_(True)
    logits = classifier.classify(leaves, grid).logits
    (of_sum,) = torch.autograd.grad(logits.sum(), leaves, retain_graph=True)
    (of_one,) = torch.autograd.grad(logits[:, 3].sum(), leaves)
    assert (of_sum - of_one).abs().max() > 0.1 * of_one.abs().max()


def test_attention_maps_are_the_queries_own() -> None:
    classifier = build()
    maps, seen = activation_maps(classifier, films(), "attention")
    torch.testing.assert_close(maps.sum((-1, -2)), torch.ones(3, 14))
    assert seen.attention is not None
    torch.testing.assert_close(maps.flatten(2), seen.attention)


def test_evidence_is_each_token_under_the_head() -> None:
    classifier = build()
    maps, seen = activation_maps(classifier, films(), "evidence")
    scores = seen.tokens @ classifier.finding_weights.T  # [v n 14]
    assert torch.equal(maps.flatten(2).argmax(-1), scores.argmax(1))
    torch.testing.assert_close(maps.flatten(2).mT, (scores - scores.mean(1, keepdim=True)).clamp(min=0))
    with pytest.raises(SettingsError, match="head per query"):
        activation_maps(build(head="pooled"), films(), "evidence")


def test_all_methods_at_once_are_each_alone() -> None:
    classifier = build()
    assert methods_of(classifier) == MAP_METHODS
    assert methods_of(build(head="pooled")) == ("gradcam", "hirescam", "attention")
    together = compared_maps(classifier, films(), MAP_METHODS)
    for method in MAP_METHODS:
        alone = activation_maps(classifier, films(), method)
        torch.testing.assert_close(together.maps[method], alone.maps)
        torch.testing.assert_close(together.classification.logits, alone.classification.logits)


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
@pytest.mark.parametrize("model_type", ["resnet", "swin"])
def test_float32_is_equal_too(model_type: str, method: MapMethod) -> None:
    classifier = build(model_type, scale=1.0)
    maps, _ = activation_maps(classifier, films(2), method)
    expected = torch.stack([torch.stack([plain_map(classifier, f, i, method) for i in range(14)]) for f in films(2)])
    torch.testing.assert_close(maps / expected.max(), expected / expected.max(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_works_where_gradients_are_off(context: Any) -> None:
    classifier = build()
    expected = activation_maps(classifier, films()).maps
    with context():
        found = activation_maps(classifier, films())
    torch.testing.assert_close(found.maps, expected)
    assert not found.classification.logits.requires_grad
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_refusals() -> None:
    with pytest.raises(SettingsError, match="gradcam, hirescam, attention or evidence"):
        activation_maps(build(), films(), "saliency")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="eval"):
        activation_maps(build().train(), films())
