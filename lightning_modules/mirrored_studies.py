"""Mirrored training studies: the films turned over, and left and right exchanged in what is learned from their reports.

The reports of few studies hardly teach where a finding is: often one side is right whatever the film shows. If half of
the studies are mirrored, both sides are equally frequent for each finding, and only the film tells which it is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ammrg.networks.places import ASPECTS
from ammrg.text.place_words import SIDES
from ammrg.text.report_terms import TERMS
from ammrg.types import StudyBatch

_SIDE_TERMS = [TERMS.index(side) for side in SIDES]


def mirror(batch: StudyBatch, share: float) -> tuple[StudyBatch, Tensor]:
    """Mirror all films of some studies, drawn by PyTorch's generator of the CPU.

    Args:
        batch: b studies.
        share: in [0, 1], of the studies that are mirrored; 0 draws nothing.

    Returns:
        (the batch with their films mirrored and all else as it was; bool ``[b]`` on the CPU, which studies they are).
    """
    count = len(batch.study_ids)
    drawn = torch.rand(count) < share if share else torch.zeros(count, dtype=torch.bool)
    if not drawn.any():
        return batch, drawn
    films = drawn.to(batch.images.device)[batch.study_of_view.to(batch.images.device)]
    images = torch.where(films[:, None, None, None], batch.images.flip(-1), batch.images)
    return batch._replace(images=images), drawn


def exchanged_elements(elements: Tensor, mirrored: Tensor) -> Tensor:
    """Elements of places ``[n 14 5]``, with left and right exchanged in the mirrored rows, bool ``[n]``."""
    sides = elements[..., ASPECTS["side"]].flip(-1)
    return torch.where(mirrored[:, None, None], torch.cat([sides, elements[..., ASPECTS["level"]]], dim=-1), elements)


def exchanged_terms(affirmed: Tensor, mirrored: Tensor) -> Tensor:
    """Affirmed report terms ``[n t]``, with "left" and "right" exchanged in the mirrored rows, bool ``[n]``."""
    other = affirmed.clone()
    other[:, _SIDE_TERMS] = affirmed[:, _SIDE_TERMS].flip(-1)
    return torch.where(mirrored[:, None], other, affirmed)
