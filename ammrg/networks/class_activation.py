"""Where on the film a finding was seen: the maps of all 14 findings from one forward and one batched backward.

Film and finding are independent: no film's logit depends on another film (in eval), so one backward seeded with the
one-hot of finding i for *every* film gives each film's own gradient, and the 14 seeds are batched too. The gradient of
the *sum* of logits would be wrong: queries attend to each other, so finding j would leak into the map of finding i.
The backward ends at the encoder's tokens, where the maps live; the encoder itself is never differentiated.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ammrg.errors import SettingsError
from ammrg.findings import NUM_FINDINGS
from ammrg.networks.disease_classifier import Classification, DiseaseClassifier, PerQueryHead

MapMethod = Literal["gradcam", "hirescam", "attention", "evidence"]


class ActivationMaps(NamedTuple):
    """Maps and what the same forward pass said."""

    maps: Tensor
    """``[v 14 gh gw]``, >= 0, unscaled."""
    classification: Classification
    """Detached from any graph."""


def activation_maps(classifier: DiseaseClassifier, images: Tensor, method: MapMethod = "gradcam") -> ActivationMaps:
    """Maps of 14 findings for uint8 films ``[v 1 h w]``.

    With A the encoder's tokens ``[n e]`` of a film and g = d logit_i / d A:

    - ``gradcam`` (Selvaraju et al. 2017): relu(A . mean_n g);
    - ``hirescam`` (Draelos and Carin 2020): relu(sum_e g * A), which keeps where the gradient was;
    - ``attention``: the cross-attention of query i, averaged over layers and heads; no backward;
    - ``evidence``: what each projected token says under the weights of head i, above the film's average: the class
      activation map of Zhou et al. 2016; no backward. For a per_query head trained with a loss on token evidence
      (:func:`ammrg.networks.disease_classifier.token_evidence`).

    Works under ``no_grad`` and ``inference_mode``.

    Raises:
        SettingsError: an unknown method, or ``evidence`` without a per_query head.
        ValueError: the classifier is in training mode (dropout and batch statistics would tie films together).
    """
    if method not in ("gradcam", "hirescam", "attention", "evidence"):
        raise SettingsError(f"cam: found {method!r}, must be gradcam, hirescam, attention or evidence.")
    if classifier.training:
        raise ValueError("maps need the classifier in eval(): dropout and batch statistics would tie films together")
    with torch.no_grad():
        tokens, grid = classifier.encoder(images)
    if method == "attention":
        with torch.no_grad():
            seen = classifier.classify(tokens, grid, output_attentions=True)
        assert seen.attention is not None
        return ActivationMaps(seen.attention.reshape(-1, NUM_FINDINGS, *grid), seen)
    if method == "evidence":
        if not isinstance(classifier.head, PerQueryHead):
            raise SettingsError("cam: evidence reads tokens with the weights of head per_query; choose gradcam.")
        with torch.no_grad():
            seen = classifier.classify(tokens, grid)
            scores = torch.einsum("vnq,iq->vin", seen.tokens, classifier.head.weight)
        maps = (scores - scores.mean(dim=2, keepdim=True)).relu()
        return ActivationMaps(maps.reshape(-1, NUM_FINDINGS, *grid), seen)

    # Tensors made under inference_mode can never carry a gradient: leave it, and clone.
    with torch.inference_mode(False), torch.enable_grad():
        leaves = tokens.detach().clone().requires_grad_(True)
        seen = classifier.classify(leaves, grid)
        seeds = torch.eye(NUM_FINDINGS, device=leaves.device, dtype=seen.logits.dtype)
        seeds = seeds.unsqueeze(1).expand(-1, len(leaves), -1)  # [14 v 14]
        (gradients,) = torch.autograd.grad(seen.logits, leaves, seeds, is_grads_batched=True)  # [14 v n e]
    seen = seen._replace(
        logits=seen.logits.detach(),
        queries=seen.queries.detach(),
        tokens=seen.tokens.detach(),
        raw_tokens=seen.raw_tokens.detach(),
    )
    if method == "gradcam":
        maps = torch.einsum("vne,ive->vin", seen.raw_tokens, gradients.mean(dim=2))
    else:
        maps = torch.einsum("vne,ivne->vin", seen.raw_tokens, gradients)
    return ActivationMaps(maps.relu().reshape(-1, NUM_FINDINGS, *grid), seen)
