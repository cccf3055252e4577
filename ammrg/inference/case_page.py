"""The page of one case: film, maps, findings, report, and what was recalled for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ammrg.findings import FINDINGS
from ammrg.imaging.panel import CasePage
from ammrg.inference.contradictions import contradictions
from ammrg.inference.memory_note import MemoryNote
from ammrg.inference.shown_maps import shown_findings, shown_view
from ammrg.networks.class_activation import MapMethod, activation_maps
from ammrg.networks.report_network import ReportNetwork
from ammrg.types import GeneratedReport, StudyBatch


def case_page(
    network: ReportNetwork,
    batch: StudyBatch,
    report: GeneratedReport,
    memory: MemoryNote,
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
        memory: what was recalled for it.
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
        reasons=[case.line() for case in memory.reasons],
        similar=[case.line() for case in memory.similar],
        memory=memory.sentence,
        title=f"study {report.study_id}",
        notes=notes,
        warnings=list(contradictions(report.text, report.findings, thresholds)),
        cell_shift=classifier.encoder.cell_shift,
    )
