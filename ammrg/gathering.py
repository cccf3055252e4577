"""What the ranks of a run hold, on each of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def sum_over_processes(values: Sequence[float], device: torch.device) -> Tensor:
    """The sums of these numbers over all processes, float32 ``[n]``; every process calls it with as many."""
    sums = torch.tensor(values, dtype=torch.float32, device=device)
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(sums)
    return sums


def gather_once(items: Iterable[tuple[str, Item]]) -> dict[str, Item]:
    """Merge (id, item) pairs over all ranks; a distributed sampler may pad with repeats, which fall together here.

    Returns:
        id -> item, ordered by id, the same on every rank.
    """
    pairs = [pair for part in gather_all(list(items)) for pair in part]
    return dict(sorted(dict(reversed(pairs)).items()))
