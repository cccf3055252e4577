"""Predictions of a whole split, gathered over processes."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from ammrg.findings import NUM_FINDINGS
from ammrg.metrics.gathered import GatheredMetric
from ammrg.types import StudyBatch


def id_key(name: str) -> int:
    """A 63-bit key for an id, because strings cannot be gathered over processes as tensors."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") >> 1


class StudyPredictions(GatheredMetric):
    """All predictions of a split, gathered over processes; a study that a sampler repeats counts once."""

    logits: list[Tensor]
    labels: list[Tensor]
    studies: list[Tensor]
    subjects: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_rows("logits", torch.float32, NUM_FINDINGS)
        self.add_rows("labels", torch.float32, NUM_FINDINGS)
        self.add_rows("studies", torch.int64)
        self.add_rows("subjects", torch.int64)

    def update(self, logits: Tensor, batch: StudyBatch) -> None:
        """Add the logits ``[b 14]`` of a batch's studies."""
        self.logits.append(logits.detach().float())
        self.labels.append(batch.labels.float())
        self.studies.append(torch.tensor([id_key(name) for name in batch.study_ids], device=logits.device))
        self.subjects.append(torch.tensor([id_key(name) for name in batch.subject_ids], device=logits.device))

    def compute(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Probabilities ``[n 14]``, labels ``[n 14]`` and subjects ``[n]`` of the labelled studies, on the CPU.

        None if no study is labelled.
        """
        logits, labels, studies, subjects = map(self.rows, ("logits", "labels", "studies", "subjects"))
        order = studies.argsort(stable=True)
        first = torch.ones_like(order, dtype=torch.bool)
        first[1:] = studies[order][1:] != studies[order][:-1]
        kept = order[first]
        kept = kept[~labels[kept].isnan().all(dim=1)]
        return (logits[kept].sigmoid(), labels[kept], subjects[kept]) if len(kept) else None
