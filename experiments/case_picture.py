"""One case to look at: the page of a study that stage 2 wrote a report for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.imaging.panel import CasePage, draw_case
from ammrg.networks.class_activation import MapMethod, activation_maps
from ammrg.networks.report_generator import GeneratedReport, Leaned, ReportGenerator
from ammrg.thresholds import is_predicted
from ammrg.types import StudyBatch
from datamodules.studies import StudyDataModule
from experiments.data_sets import trained_on


def case_page(
    network: ReportGenerator,
    batch: StudyBatch,
    report: GeneratedReport,
    reference: str | None,
    method: MapMethod,
    notes: Sequence[str] = (),
) -> CasePage:
    """The page of a batch of one study; the film shown is its first frontal, else its first.

    Maps are of the abnormal findings above their thresholds, by probability; the likeliest where none is.
    """
    view = batch.projections.index("frontal") if "frontal" in batch.projections else 0
    classifier = network.classifier
    with torch.inference_mode(False), torch.enable_grad():
        maps = activation_maps(classifier, batch.images[view : view + 1].clone(), method).maps[0]
    thresholds = dict(zip(FINDINGS, classifier.thresholds.tolist(), strict=True))
    abnormal = sorted((FINDINGS[i] for i in ABNORMAL), key=lambda name: -report.findings[name])
    shown = [name for name in abnormal if is_predicted(report.findings[name], thresholds[name])] or abnormal[:1]
    return CasePage(
        film=batch.images[view, 0].cpu().numpy(),
        maps={name: maps[FINDINGS.index(name)].detach().cpu().numpy().astype(np.float32) for name in shown},
        probabilities=report.findings,
        thresholds=thresholds,
        report=report.text,
        reference=reference,
        recalled=recalled_lines(report),
        title=f"study {report.study_id}",
        notes=notes,
        cell_shift=classifier.encoder.cell_shift,
    )


def recalled_lines(report: GeneratedReport) -> list[str]:
    """The memories a report leaned on most, one line each."""
    regions = [f"{r.weight:.2f} region of {r.finding} ({_owner(r)})" for r in report.regions[:6]]
    reports = [f"{r.weight:.2f} report of {_owner(r)}: {r.text or '(left out)'}" for r in report.reports[:3]]
    return regions + reports


def _owner(leaned: Leaned) -> str:
    """A disease query has neither owner nor place; a memory of restricted data may have lost its ids."""
    if leaned.study_id:
        return leaned.study_id
    return "a training study" if leaned.box or leaned.finding is None else "disease query"


def write_case_picture(network: ReportGenerator, datamodule: StudyDataModule, folder: Path, method: MapMethod) -> Path:
    """Draw ``folder/case.png``: the first written study with at least two positive findings (else the first).

    The choice looks at labels only, never at how well the report turned out.
    """
    batch, dataset = first_case(datamodule), str(datamodule.card["dataset"])
    device = next(network.parameters()).device
    batch = batch._replace(images=batch.images.to(device), study_of_view=batch.study_of_view.to(device))
    with torch.inference_mode():
        report = network.generate(batch)[0]
    page = case_page(network, batch, report, batch.reports[0], method, [f"This model was {trained_on(dataset)}."])
    return draw_case(page, folder / "case.png")


def first_case(datamodule: StudyDataModule) -> StudyBatch:
    """A batch of the one study to show."""
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
