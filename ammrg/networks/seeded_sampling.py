"""Sampling with a seed for each study, which gives a study the same text in any batch."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import LogitsProcessorList


class GumbelNoise:
    """Noise that, added to logits, makes their maximum a draw from their softmax (Gumbel 1954).

    Each row has its own generator on the CPU, so a draw depends neither on the other rows nor on the device.

    Args:
        seeds: one for each row.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Add noise to logits ``[b vocabulary]``; the result is float32."""
        drawn = [torch.empty(scores.shape[1]).exponential_(generator=each) for each in self.generators]
        return scores.float() - torch.stack(drawn).log().to(scores.device)


def seeded_sampling(seeds: Sequence[int], settings: MutableMapping[str, Any]) -> LogitsProcessorList:
    """Make the processors that turn transformers' greedy search into sampling.

    Args:
        seeds: one for each row.
        settings: ``temperature``, ``top_k``, ``top_p`` and ``min_p`` are removed from it and applied in this order.
    """
    from transformers import LogitsProcessorList
    from transformers.generation import logits_process

    warpers = {
        "temperature": logits_process.TemperatureLogitsWarper,
        "top_k": logits_process.TopKLogitsWarper,
        "top_p": logits_process.TopPLogitsWarper,
        "min_p": logits_process.MinPLogitsWarper,
    }
    values = {name: settings.pop(name, None) for name in warpers}
    made = [warper(values[name]) for name, warper in warpers.items() if values[name] is not None]
    return LogitsProcessorList([*made, GumbelNoise(seeds)])
