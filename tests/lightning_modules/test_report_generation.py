"""The Lightning shell of stage 2: what needs no trained network. The whole of it runs in tests/test_pipeline.py."""

from __future__ import annotations

import torch

from ammrg.types import Box, StudyBatch
from lightning_modules.report_generation import exchange_films


def batch() -> StudyBatch:
    return StudyBatch(
        images=torch.arange(5, dtype=torch.uint8).reshape(5, 1, 1, 1),
        study_of_view=torch.tensor([0, 0, 1, 2, 2]),
        labels=torch.zeros(3, 14),
        reports=["a", "b", "c"],
        study_ids=["1", "2", "3"],
        subject_ids=["1", "2", "3"],
        projections=["frontal", "lateral", "frontal", "frontal", "lateral"],
        boxes=[Box(0, 1, 0.0, 0.0, 0.5, 0.5)],
    )


def test_every_study_gets_the_films_of_the_next_one() -> None:
    exchanged = exchange_films(batch())
    assert exchanged.study_of_view.tolist() == [0, 1, 1, 2, 2]
    assert exchanged.images.flatten().tolist() == [2, 3, 4, 0, 1]
    assert exchanged.projections == ["frontal", "frontal", "lateral", "frontal", "lateral"]
    assert exchanged.reports == ["a", "b", "c"]
    assert exchanged.boxes == []
