"""Predictions of all ranks on the first one, each study once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import torch.distributed as distributed

Item = TypeVar("Item")


def gather_once(items: Iterable[tuple[str, Item]]) -> dict[str, Item]:
    """Merge (id, item) pairs over all ranks; a distributed sampler may pad with repeats, which fall together here.

    Returns:
        id -> item, ordered by id, the same on every rank.
    """
    pairs = list(items)
    if distributed.is_available() and distributed.is_initialized():
        parts: list[list[tuple[str, Item]] | None] = [None] * distributed.get_world_size()
        distributed.all_gather_object(parts, pairs)
        pairs = [pair for part in parts if part is not None for pair in part]
    return dict(sorted(dict(reversed(pairs)).items()))
