"""The page of one case: films, maps, findings, report, and what was recalled for it."""

from __future__ import annotations

from collections.abc import Sequence

from ammrg.findings import FINDINGS
from ammrg.imaging.panel import CasePage, PageFilm
from ammrg.inference.contradictions import contradictions
from ammrg.inference.finding_maps import finding_maps
from ammrg.inference.memory_note import MemoryNote
from ammrg.inference.shown_maps import shown_findings
from ammrg.networks.class_activation import ActivationMaps
from ammrg.networks.report_network import ReportNetwork
from ammrg.studies.films import FACING
from ammrg.text.self_contradictions import self_contradictions
from ammrg.types import GeneratedReport, StudyBatch


def case_page(
    network: ReportNetwork,
    batch: StudyBatch,
    report: GeneratedReport,
    memory: MemoryNote,
    reference: str | None,
    found: ActivationMaps,
    notes: Sequence[str] = (),
    sides: Sequence[tuple[str, str] | None] | None = None,
    numbers: Sequence[int] | None = None,
    aspects: Sequence[float] | None = None,
    warnings: Sequence[str] = (),
    limits: Sequence[float] | None = None,
) -> CasePage:
    """Make the page of a batch of one study.

    The page shows all films, and the maps of the findings that :func:`ammrg.inference.shown_maps.shown_findings`
    chooses, each on the film that decides its finding: the one with the highest logit.

    Args:
        network: that wrote the report.
        batch: of one study.
        report: of the study.
        memory: what was recalled for it.
        reference: the radiologist's report; None where there is none.
        found: the maps of the batch's films, ``[v 14 gh gw]``.
        notes: remarks about the model and the film, one line each.
        sides: for each film, what lies at its left and right edge; default: :data:`ammrg.studies.films.FACING` for
            frontal films.
        numbers: of the films in the study; default: 1, 2, ..., and 0 where there is only one.
        aspects: width over height of the films before they were resized; default: that of the batch.
        warnings: about the films, shown before those of contradictions.
        limits: the 14 thresholds above which a finding is shown as found; default: the classifier's.
    """
    classifier = network.classifier
    maps = finding_maps(found)
    if sides is None:
        sides = [FACING if projection == "frontal" else None for projection in batch.projections]
    if numbers is None:
        numbers = range(1, len(batch.images) + 1) if len(batch.images) > 1 else [0]
    if aspects is None:
        aspects = [1.0] * len(batch.images)
    thresholds = dict(zip(FINDINGS, classifier.thresholds.tolist() if limits is None else limits, strict=True))
    shown = shown_findings([report.findings[name] for name in FINDINGS], list(thresholds.values()))
    return CasePage(
        films=[
            PageFilm(image[0].cpu().numpy(), projection, letters, number, aspect)
            for image, projection, letters, number, aspect in zip(
                batch.images, batch.projections, sides, numbers, aspects, strict=True
            )
        ],
        maps={FINDINGS[i]: maps[FINDINGS[i]].heat for i in shown},
        map_films={FINDINGS[i]: maps[FINDINGS[i]].film for i in shown},
        probabilities=report.findings,
        thresholds=thresholds,
        report=report.text,
        reference=reference,
        reasons=[case.line() for case in memory.reasons],
        similar=[case.line() for case in memory.similar],
        memory=memory.sentence,
        title=f"study {report.study_id}",
        notes=notes,
        warnings=[
            *warnings,
            *contradictions(report.text, report.findings, thresholds),
            *self_contradictions(report.text),
        ],
        cell_shift=classifier.encoder.cell_shift,
    )
