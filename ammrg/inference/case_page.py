"""The page of one case: film, maps, findings, report, and the memories it was written with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.imaging.panel import CasePage
from ammrg.networks.class_activation import MapMethod, activation_maps
from ammrg.networks.report_generator import GeneratedReport, Leaned, ReportGenerator
from ammrg.thresholds import is_predicted
from ammrg.types import StudyBatch


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
