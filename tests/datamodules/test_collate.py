"""Films of a batch are packed, never padded."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ammrg.errors import DataError
from ammrg.types import Box
from datamodules.collate import Example, collate


def example(name: str, views: int, size: int = 8, boxes: tuple[Box, ...] = ()) -> Example:
    films = np.full((views, size, size), ord(name), np.uint8)
    labels = np.full(14, ord(name), np.float32)
    return Example(name, f"p{name}", films, ["frontal"] * views, labels, f"report {name}", list(boxes))


def test_packing():
    boxes = (Box(1, 4, 0.0, 0.0, 0.5, 0.5),)
    batch = collate([example("a", 2), example("b", 1), example("c", 3, boxes=boxes)])
    assert batch.images.shape == (6, 1, 8, 8)
    assert batch.images.dtype == torch.uint8
    assert batch.study_of_view.tolist() == [0, 0, 1, 2, 2, 2]
    assert batch.images[:, 0, 0, 0].tolist() == [ord(name) for name in "aabccc"]
    assert batch.labels.shape == (3, 14)
    assert batch.labels.dtype == torch.float32
    assert batch.reports == ["report a", "report b", "report c"]
    assert (batch.study_ids, batch.subject_ids) == (["a", "b", "c"], ["pa", "pb", "pc"])
    assert len(batch.projections) == 6
    assert batch.boxes == [Box(4, 4, 0.0, 0.0, 0.5, 0.5)]


def test_what_cannot_be_packed():
    with pytest.raises(DataError, match="no studies"):
        collate([])
    with pytest.raises(DataError, match=r"study b has films of \(9, 9\)"):
        collate([example("a", 1), example("b", 1, size=9)])
    with pytest.raises(DataError, match="study a"):
        collate([example("a", 0)])
