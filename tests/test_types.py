from __future__ import annotations

import torch

from ammrg.types import Box, FilmBox, StudyBatch


def batch() -> StudyBatch:
    """Three studies with one, two and one films."""
    return StudyBatch(
        images=torch.arange(4, dtype=torch.uint8).reshape(4, 1, 1, 1),
        study_of_view=torch.tensor([0, 1, 1, 2]),
        labels=torch.arange(3).repeat_interleave(14).reshape(3, 14).float(),
        reports=["a", "b", "c"],
        study_ids=["s0", "s1", "s2"],
        subject_ids=["p0", "p1", "p2"],
        projections=["frontal", "frontal", "lateral", "unknown"],
        boxes=[Box(0, 1, 0.0, 0.0, 0.5, 0.5), Box(2, 3, 0.1, 0.1, 0.2, 0.2), Box(3, 4, 0.0, 0.0, 1.0, 1.0)],
        indications=["cough", "", "pain"],
    )


def test_some_studies_keep_their_films_and_boxes_together() -> None:
    less = batch().take([1, 2])
    assert less.images.flatten().tolist() == [1, 2, 3]
    assert less.study_of_view.tolist() == [0, 0, 1]
    assert less.labels[:, 0].tolist() == [1.0, 2.0]
    assert (less.reports, less.study_ids, less.subject_ids) == (["b", "c"], ["s1", "s2"], ["p1", "p2"])
    assert less.projections == ["frontal", "lateral", "unknown"]
    assert [(box.view, box.finding) for box in less.boxes] == [(1, 3), (2, 4)]
    assert less.indications == ["", "pain"]
    assert batch()._replace(indications=()).take([0]).indications == ()


def test_boxes_of_each_study_carry_their_projection() -> None:
    first, second, third = batch().film_boxes()
    assert first == [FilmBox("Cardiomegaly", (0.0, 0.0, 0.5, 0.5), "frontal")]
    assert second == [FilmBox("Lung Lesion", (0.1, 0.1, 0.2, 0.2), "lateral")]
    assert third == [FilmBox("Edema", (0.0, 0.0, 1.0, 1.0), "unknown")]
    assert batch()._replace(boxes=[]).film_boxes() == [[], [], []]
