"""Metrics that keep every row they have seen, and gather all rows over processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class GatheredMetric(Metric):
    """Rows of a split, gathered from all processes; a process may have none.

    Gathered tensors must have the same dtype and number of dimensions in every process, but torchmetrics sends an empty
    float32 vector from a process without rows (its fix of
    https://github.com/Lightning-AI/torchmetrics/issues/2463). So each list starts with a tensor of zero rows that has
    the right dtype and shape.
    """

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[str, tuple[torch.dtype, tuple[int, ...]]] = {}

    def add_rows(self, name: str, dtype: torch.dtype, *shape: int) -> None:
        """Add a state ``name``: a list of tensors ``[rows *shape]``."""
        self.add_state(name, default=[], dist_reduce_fx="cat")
        self._kinds[name] = (dtype, shape)
        setattr(self, name, [self._none(name)])

    def _none(self, name: str) -> Tensor:
        dtype, shape = self._kinds[name]
        return torch.zeros(0, *shape, dtype=dtype, device=self.device)

    def reset(self) -> None:
        """Forget all rows."""
        super().reset()
        for name in self._kinds:
            setattr(self, name, [self._none(name)])

    def rows(self, name: str) -> Tensor:
        """All rows of a state ``[n ..]``, on the CPU; inside ``compute``, those of all processes."""
        found = getattr(self, name)
        return (torch.cat(found) if isinstance(found, list) else found).cpu()

    def rows_so_far(self) -> dict[str, list[Tensor]]:
        """This process's rows since the last reset, on the CPU, for a checkpoint in the middle of an epoch."""
        return {name: [part.cpu() for part in getattr(self, name)] for name in self._kinds}

    def take_up(self, kept: dict[str, Any]) -> None:
        """Continue from the rows that :meth:`rows_so_far` returned."""
        for name in self._kinds:
            setattr(self, name, [self._none(name), *(part.to(self.device) for part in kept[name])])
        self._update_count = max(len(getattr(self, name)) for name in self._kinds) - 1
