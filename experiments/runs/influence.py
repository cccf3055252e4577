"""The influence that a recalled pattern must exceed to be called a reason, measured on validation studies."""

from __future__ import annotations

import numpy as np
import torch
from rich.progress import track

from ammrg.networks.influence import random_influences, thresholds
from ammrg.reasons import InfluenceThresholds
from datamodules.studies import StudyDataModule
from lightning_modules.report_generation import ReportGeneration

STUDIES = 100
"""Most validation studies whose reports are written to measure random patterns."""


@torch.inference_mode()
def influence_thresholds(model: ReportGeneration, datamodule: StudyDataModule) -> InfluenceThresholds:
    """Write reports of evenly spaced validation studies, and measure the influence of random patterns on them.

    Args:
        model: the run's network, on its device and in eval mode.
        datamodule: the data of the run.
    """
    network, count = model.network, len(datamodule.ids("val")[0])
    rows = np.linspace(0, count - 1, min(STUDIES, count)).round().astype(np.int64)
    found = []
    loader = datamodule.evaluation_loader("val", alone=True, rows=rows)
    for batch in track(loader, description="influence of random patterns", transient=True):
        moved = batch.to(network.device)
        seen = network.see(moved.images)
        found += random_influences(network, moved, model.generate(moved, seen), seen)
    return thresholds(found)
