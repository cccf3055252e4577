"""``case.png``: one study of a run on a page, with film, maps, report and retrieved memories."""

from __future__ import annotations

from pathlib import Path

import torch

from ammrg.data_sets import trained_on
from ammrg.findings import ABNORMAL
from ammrg.imaging.panel import draw_case
from ammrg.inference.case_page import case_page
from ammrg.inference.memory_note import memory_note
from ammrg.networks.class_activation import activation_maps
from ammrg.networks.influence import with_influence
from ammrg.reasons import InfluenceThresholds
from ammrg.types import StudyBatch
from datamodules.studies import StudyDataModule
from lightning_modules.report_generation import ReportGeneration


def write_case_picture(
    model: ReportGeneration, datamodule: StudyDataModule, folder: Path, influence: InfluenceThresholds
) -> Path:
    """Draw ``folder/case.png``: the first study with at least two positive findings, or else the first study.

    The choice depends on the labels only, never on how good the report is.

    Args:
        model: the run's network.
        datamodule: the data of the run.
        folder: the run's folder.
        influence: what counts as a reason.

    Returns:
        The picture's path.
    """
    network, dataset = model.network, str(datamodule.card["dataset"])
    batch = first_case(datamodule).to(network.device)
    with torch.inference_mode():
        seen = network.see(batch.images)
        report = with_influence(network, batch, model.generate(batch, seen), seen)[0]
    note = memory_note(report, influence)
    origin = f"This model was {trained_on(dataset)}."
    maps = activation_maps(network.classifier, batch.images, model.cam)
    page = case_page(network, batch, report, note, batch.reports[0], maps, [origin])
    return draw_case(page, folder / "case.png")


def first_case(datamodule: StudyDataModule) -> StudyBatch:
    """The study to show, as a batch of one."""
    first: StudyBatch | None = None
    for batch in datamodule.evaluation_loader(datamodule.predict_split, alone=True):
        for row in range(len(batch.study_ids)):
            positive = int((batch.labels[row, list(ABNORMAL)] == 1).sum())
            if positive >= 2 or first is None:
                single = batch.take([row])
                if positive >= 2:
                    return single
                first = single
    assert first is not None, "the split is empty"
    return first
