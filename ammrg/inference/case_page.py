"""The page of one case: film, maps, findings, report, and the patterns retrieved for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ammrg.findings import FINDINGS
from ammrg.imaging.panel import CasePage
from ammrg.inference.contradictions import contradictions
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
    """Make the page of a batch of one study.

    The page shows the first frontal film, or the first film where none is frontal, and the maps of the findings that
    :func:`ammrg.inference.shown_maps.shown_findings` chooses.

    Args:
        network: that wrote the report.
        batch: of one study.
        report: of the study.
        reference: the radiologist's report; None where there is none.
        method: how the maps are made.
        notes: remarks about the model and the film, one line each.
    """
    view, classifier = shown_view(batch.projections), network.classifier
    maps = activation_maps(classifier, batch.images[view : view + 1], method).maps[0]
    thresholds = dict(zip(FINDINGS, classifier.thresholds.tolist(), strict=True))
    shown = shown_findings([report.findings[name] for name in FINDINGS], list(thresholds.values()))
    return CasePage(
        film=batch.images[view, 0].cpu().numpy(),
        maps={FINDINGS[i]: maps[i].detach().cpu().numpy().astype(np.float32) for i in shown},
        probabilities=report.findings,
        thresholds=thresholds,
        report=report.text,
        reference=reference,
        retrieved=retrieved_lines(report),
        title=f"study {report.study_id}",
        notes=notes,
        warnings=list(contradictions(report.text, report.findings, thresholds)),
        cell_shift=classifier.encoder.cell_shift,
    )


def retrieved_lines(report: GeneratedReport) -> list[str]:
    """List what was recalled for a report: 6 regions and 3 reports at most, one line each.

    The regions are the first that the query of each present finding recalled, with their place; without any present
    finding, those with the largest weights.
    """
    regions = [
        f"{r.weight:.2f} for {finding}: {' '.join((*r.place, str(r.finding)))} ({_owner(r)})"
        for finding, listed in list(report.recalled.items())[:6]
        for r in listed[:1]
    ] or [f"{r.weight:.2f} region of {r.finding} ({_owner(r)})" for r in report.regions[:6]]
    reports = [f"{r.weight:.2f} report of {_owner(r)}: {r.text or '(left out)'}" for r in report.reports[:3]]
    return regions + reports


def _owner(pattern: Attribution) -> str:
    """Name the owner of a retrieved pattern.

    Without an id, it is a disease query where it has neither place nor text, else a training study of restricted data.
    """
    if pattern.study_id:
        return pattern.study_id
    return "a training study" if pattern.box or pattern.finding is None else "disease query"
