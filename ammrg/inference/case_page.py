"""The page of one case: film, maps, findings, report, and the memories it was written with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ammrg.findings import FINDINGS
from ammrg.imaging.panel import CasePage
from ammrg.inference.shown_maps import shown_findings, shown_view
from ammrg.networks.class_activation import MapMethod, activation_maps
from ammrg.networks.report_network import ReportNetwork
from ammrg.types import Attribution, GeneratedReport, StudyBatch


def case_page(
    network: ReportNetwork,
    batch: StudyBatch,
    report: GeneratedReport,
    reference: str | None,
    method: MapMethod,
    notes: Sequence[str] = (),
) -> CasePage:
    """The page of a batch of one study; the film shown is its first frontal, else its first.

    Maps are of the findings that :func:`ammrg.inference.shown_maps.shown_findings` chooses.
    """
    view, classifier = shown_view(batch.projections), network.classifier
    maps = activation_maps(classifier, batch.images[view : view + 1], method).maps[0]
    thresholds = classifier.thresholds.tolist()
    shown = shown_findings([report.findings[name] for name in FINDINGS], thresholds)
    return CasePage(
        film=batch.images[view, 0].cpu().numpy(),
        maps={FINDINGS[i]: maps[i].detach().cpu().numpy().astype(np.float32) for i in shown},
        probabilities=report.findings,
        thresholds=dict(zip(FINDINGS, thresholds, strict=True)),
        report=report.text,
        reference=reference,
        retrieved=retrieved_lines(report),
        title=f"study {report.study_id}",
        notes=notes,
        cell_shift=classifier.encoder.cell_shift,
    )


def retrieved_lines(report: GeneratedReport) -> list[str]:
    """The patterns a report was mostly written with, one line each."""
    regions = [f"{r.weight:.2f} region of {r.finding} ({_owner(r)})" for r in report.regions[:6]]
    reports = [f"{r.weight:.2f} report of {_owner(r)}: {r.text or '(left out)'}" for r in report.reports[:3]]
    return regions + reports


def _owner(pattern: Attribution) -> str:
    """A disease query has neither owner nor place; a memory of restricted data may have lost its ids."""
    if pattern.study_id:
        return pattern.study_id
    return "a training study" if pattern.box or pattern.finding is None else "disease query"
