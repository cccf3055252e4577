"""Values gathered from all processes of a run, so that every process has them all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

import torch
import torch.distributed as distributed
from torch import Tensor

Item = TypeVar("Item")


def gather_all(item: Item) -> list[Item]:
    """Gather one item from every rank: a list in the order of the ranks, the same on each rank."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [item]
    parts: list[Item | None] = [None] * distributed.get_world_size()
    distributed.all_gather_object(parts, item)
    return cast("list[Item]", parts)


def sum_over_processes(values: Sequence[float], device: torch.device) -> Tensor:
    """Sum numbers over all processes, element by element.

    Args:
        values: n numbers; every process must give the same n.
        device: where the sum is computed.

    Returns:
        float32 ``[n]``.
    """
    sums = torch.tensor(values, dtype=torch.float32, device=device)
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(sums)
    return sums


def mean_over_processes(values: Tensor) -> Tensor:
    """Average a tensor over all processes, element by element; each must give the same shape."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    values = values.clone()
    distributed.all_reduce(values)
    return values / distributed.get_world_size()


def gather_once(items: Iterable[tuple[str, Item]]) -> dict[str, Item]:
    """Merge (id, item) pairs of all ranks.

    A distributed sampler may repeat studies to give every rank the same number; each id is kept once here.

    Returns:
        id -> item, ordered by id, the same on every rank.
    """
    pairs = [pair for part in gather_all(list(items)) for pair in part]
    return dict(sorted(dict(reversed(pairs)).items()))
