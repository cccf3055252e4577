"""``case.png``: one study of a run on a page, with film, maps, report and retrieved memories."""

from __future__ import annotations

from pathlib import Path

import torch

from ammrg.data_sets import trained_on
from ammrg.findings import ABNORMAL
from ammrg.imaging.panel import draw_case
from ammrg.inference.case_page import case_page
from ammrg.networks.class_activation import MapMethod
from ammrg.networks.report_network import ReportNetwork
from ammrg.types import StudyBatch
from datamodules.studies import StudyDataModule


def write_case_picture(network: ReportNetwork, datamodule: StudyDataModule, folder: Path, method: MapMethod) -> Path:
    """Draw ``folder/case.png``: the first study with at least two positive findings, or else the first study.

    The choice depends on the labels only, never on how good the report is.

    Args:
        network: the run's network.
        datamodule: the data of the run.
        folder: the run's folder.
        method: how the maps are computed.

    Returns:
        The picture's path.
    """
    batch, dataset = first_case(datamodule), str(datamodule.card["dataset"])
    batch = batch.to(network.device)
    with torch.inference_mode():
        report = network.generate(batch)[0]
    page = case_page(network, batch, report, batch.reports[0], method, [f"This model was {trained_on(dataset)}."])
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
