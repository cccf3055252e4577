"""What the ranks of a run hold, on each of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, cast

import torch
import torch.distributed as distributed
from torch import Tensor

Item = TypeVar("Item")


def gather_all(item: Item) -> list[Item]:
    """What every rank holds, in their order; the same list on each."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [item]
    parts: list[Item | None] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, item)
    return cast("list[Item]", parts)


def weight_of_mean(count: Tensor | float, device: torch.device) -> Tensor | float:
    """What a process multiplies its mean over ``count`` terms (or what they weigh together) with, so that the average
    over processes (which DDP takes of gradients) is the mean over the terms of all: ``count * processes / sum of
    counts``. Every process calls it."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 1.0
    own = torch.as_tensor(count, dtype=torch.float32, device=device)
    total = own.clone()
    distributed.all_reduce(total)
    return own * distributed.get_world_size() / total.clamp(min=1)


def gather_once(items: Iterable[tuple[str, Item]]) -> dict[str, Item]:
    """Merge (id, item) pairs over all ranks; a distributed sampler may pad with repeats, which fall together here.

    Returns:
        id -> item, ordered by id, the same on every rank.
    """
    pairs = [pair for part in gather_all(list(items)) for pair in part]
    return dict(sorted(dict(reversed(pairs)).items()))
