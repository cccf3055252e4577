"""Predictions of a whole split, gathered over processes."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor
from torchmetrics import Metric

from ammrg.types import StudyBatch

STATES = ("logits", "labels", "studies", "subjects")


def id_key(name: str) -> int:
    """A 63-bit key of an id: strings cannot be gathered over processes as tensors."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


class StudyPredictions(Metric):
    """All predictions of a split, gathered over processes; a study that a sampler repeated counts once."""

    full_state_update = False
    logits: list[Tensor]
    labels: list[Tensor]
    studies: list[Tensor]
    subjects: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in STATES:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, batch: StudyBatch) -> None:
        """Study logits ``[b 14]`` and the batch they belong to."""
        self.logits.append(logits.detach().float())
        self.labels.append(batch.labels.float())
        self.studies.append(torch.tensor([id_key(name) for name in batch.study_ids], device=logits.device))
        self.subjects.append(torch.tensor([id_key(name) for name in batch.subject_ids], device=logits.device))

    def so_far(self) -> dict[str, list[Tensor]]:
        """This process's predictions since the last reset, on the CPU: what a checkpoint within an epoch keeps."""
        return {name: [part.cpu() for part in getattr(self, name)] for name in STATES}

    def go_on(self, kept: dict[str, list[Tensor]]) -> None:
        """Take up what :meth:`so_far` kept."""
        for name in STATES:
            setattr(self, name, [part.to(self.device) for part in kept[name]])
        self._update_count = len(self.logits)

    def compute(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Probabilities ``[n 14]``, labels ``[n 14]``, subjects ``[n]`` of the labelled studies, on the CPU; None
        where there is none."""
        if not len(self.logits):
            return None
        parts = [getattr(self, name) for name in STATES]
        logits, labels, studies, subjects = (
            (torch.cat(part) if isinstance(part, list) else part).cpu() for part in parts
        )
        order = studies.argsort(stable=True)
        first = torch.ones_like(order, dtype=torch.bool)
        first[1:] = studies[order][1:] != studies[order][:-1]
        kept = order[first]
        kept = kept[~labels[kept].isnan().all(dim=1)]
        return (logits[kept].sigmoid(), labels[kept], subjects[kept]) if len(kept) else None
