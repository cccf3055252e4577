"""Sampling that gives a study the same text whatever batch it is in."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import LogitsProcessorList


class GumbelNoise:
    """Added to logits, it makes their highest a draw from their softmax (Gumbel 1954). Each row has a generator of its
    own, on the CPU: neither neighbours nor the device change what is drawn.

    Args:
        seeds: one a row.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Logits ``[b vocabulary]`` -> the same with noise, float32."""
        drawn = [torch.empty(scores.shape[1]).exponential_(generator=each) for each in self.generators]
        return scores.float() - torch.stack(drawn).log().to(scores.device)


def seeded_sampling(seeds: Sequence[int], settings: MutableMapping[str, Any]) -> LogitsProcessorList:
    """What turns transformers' greedy search into sampling.

    Args:
        seeds: one a row.
        settings: ``temperature``, ``top_k``, ``top_p`` and ``min_p`` are taken out, and applied in this order.
    """
    from transformers import LogitsProcessorList
    from transformers.generation import logits_process

    warpers = {
        "temperature": logits_process.TemperatureLogitsWarper,
        "top_k": logits_process.TopKLogitsWarper,
        "top_p": logits_process.TopPLogitsWarper,
        "min_p": logits_process.MinPLogitsWarper,
    }
    asked = {name: settings.pop(name, None) for name in warpers}
    made = [warper(asked[name]) for name, warper in warpers.items() if asked[name] is not None]
    return LogitsProcessorList([*made, GumbelNoise(seeds)])
