"""Activation maps: where on a film each finding was seen, by one forward pass and one batched backward pass.

No film's logit depends on another film (in eval mode). So one backward pass, seeded with the one-hot vector of finding
i for every film, gives the gradient of each film; the seeds of all 14 findings are batched too. The gradient of the sum
of the logits would be wrong: queries attend to each other, so finding j would leak into the map of finding i. The
backward pass ends at the encoder's tokens, on whose grid the maps are; the encoder itself is not differentiated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ammrg.errors import SettingsError
from ammrg.findings import NUM_FINDINGS
from ammrg.networks.disease_classifier import Classification, DiseaseClassifier, PerQueryHead

MapMethod = Literal["gradcam", "hirescam", "attention", "evidence"]
MAP_METHODS: tuple[MapMethod, ...] = get_args(MapMethod)


class ActivationMaps(NamedTuple):
    """The maps of films, and the classification from the same forward pass."""

    maps: Tensor
    """``[v 14 gh gw]``, >= 0, unscaled."""
    classification: Classification
    """Detached from any graph."""

    def take(self, films: Tensor) -> ActivationMaps:
        """Return those of some of the films (rows, int64 ``[m]``)."""
        return ActivationMaps(self.maps[films], self.classification.take(films))


class ComparedMaps(NamedTuple):
    """The maps of several methods, and the classification from the same forward pass."""

    maps: dict[MapMethod, Tensor]
    """Method -> ``[v 14 gh gw]``, >= 0, unscaled."""
    classification: Classification
    """Detached from any graph."""


def methods_of(classifier: DiseaseClassifier) -> tuple[MapMethod, ...]:
    """List the methods that a classifier's head allows."""
    return tuple(m for m in MAP_METHODS if m != "evidence" or isinstance(classifier.head, PerQueryHead))


def activation_maps(classifier: DiseaseClassifier, images: Tensor, method: MapMethod = "gradcam") -> ActivationMaps:
    """Make the maps of 14 findings for films, uint8 ``[v 1 h w]``, by one method; see :func:`compared_maps`."""
    found = compared_maps(classifier, images, (method,))
    return ActivationMaps(found.maps[method], found.classification)


def compared_maps(classifier: DiseaseClassifier, images: Tensor, methods: Sequence[MapMethod]) -> ComparedMaps:
    """Make the maps of 14 findings for films by one or more methods, from one forward pass.

    With A the encoder's tokens ``[n e]`` of a film and g = d logit_i / d A:

    - ``gradcam`` (Selvaraju et al. 2017): relu(A . mean_n g);
    - ``hirescam`` (Draelos and Carin 2020): relu(sum_e g * A), which keeps the place of the gradient;
    - ``attention``: the cross-attention of query i, averaged over layers and heads; no backward pass;
    - ``evidence``: the score of each projected token with the weights of head i, minus the film's average: the class
      activation map of Zhou et al. 2016; no backward pass. It suits a head per query that was trained with a loss on
      token evidence (:func:`ammrg.networks.disease_classifier.token_evidence`).

    It works under ``no_grad`` and ``inference_mode``.

    Args:
        classifier: in eval mode.
        images: uint8 ``[v 1 h w]``.
        methods: one or more.

    Raises:
        SettingsError: an unknown method, or ``evidence`` without a head per query.
        ValueError: the classifier is in training mode (dropout and batch statistics make films depend on each other).
    """
    for method in methods:
        if method not in MAP_METHODS:
            raise SettingsError(f"cam: found {method!r}, must be {', '.join(MAP_METHODS[:-1])} or {MAP_METHODS[-1]}.")
        if method not in methods_of(classifier):
            raise SettingsError(f"cam: {method} needs the weights of a head per query; choose another method or head.")
    if classifier.training:
        raise ValueError("maps need the classifier in eval(): in training mode films depend on each other")
    with torch.no_grad():
        tokens, grid = classifier.encoder(images)
    differentiated = "gradcam" in methods or "hirescam" in methods
    gradients = tokens.new_empty(0)
    # Tensors made under inference_mode can never have a gradient: so leave that mode, and clone.
    with torch.inference_mode(False), torch.set_grad_enabled(differentiated):
        leaves = tokens.detach().clone().requires_grad_(differentiated)
        seen = classifier.classify(leaves, grid, output_attentions="attention" in methods)
        if differentiated:
            seeds = torch.eye(NUM_FINDINGS, device=leaves.device, dtype=seen.logits.dtype)
            seeds = seeds.unsqueeze(1).expand(-1, len(leaves), -1)  # [14 v 14]
            (gradients,) = torch.autograd.grad(seen.logits, leaves, seeds, is_grads_batched=True)  # [14 v n e]
    seen = Classification(
        logits=seen.logits.detach(),
        queries=seen.queries.detach(),
        tokens=seen.tokens.detach(),
        raw_tokens=seen.raw_tokens.detach(),
        grid=grid,
        attention=None if seen.attention is None else seen.attention.detach(),
        places=None if seen.places is None else seen.places.detach(),
    )
    maps = {method: _heat(method, classifier, seen, gradients) for method in methods}
    return ComparedMaps({m: heat.reshape(-1, NUM_FINDINGS, *grid) for m, heat in maps.items()}, seen)


def _heat(method: MapMethod, classifier: DiseaseClassifier, seen: Classification, gradients: Tensor) -> Tensor:
    """Compute the maps of one method, ``[v 14 n]``; ``gradients`` are ``[14 v n e]`` where the method needs them."""
    if method == "gradcam":
        return torch.einsum("vne,ive->vin", seen.raw_tokens, gradients.mean(dim=2)).relu()
    if method == "hirescam":
        return torch.einsum("vne,ivne->vin", seen.raw_tokens, gradients).relu()
    if method == "attention":
        assert seen.attention is not None
        return seen.attention
    scores = torch.einsum("vnq,iq->vin", seen.tokens, classifier.finding_weights.detach())
    return (scores - scores.mean(dim=2, keepdim=True)).relu()
