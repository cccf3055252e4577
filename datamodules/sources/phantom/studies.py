"""Draws whole studies: plan, films and report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ammrg.findings import FINDINGS
from ammrg.types import Box, Study, View
from datamodules.sources.phantom.films import draw_film, encode_png
from datamodules.sources.phantom.plan import VERSION, plan_study
from datamodules.sources.phantom.sentences import write_report

SPLIT_SIZES: dict[str, int] = {"train": 2400, "val": 150, "test": 240}


def draw_study(split: str, index: int, seed: int = 0, size: int = 256, version: int = VERSION) -> Study:
    """Draw study ``index`` of a split, with PNG films of ``size`` x ``size`` pixels.

    The study depends on the arguments alone, so studies can be drawn in any order and in parallel.
    """
    plan = plan_study(split, index, seed, version)
    report = write_report(plan)
    views, boxes = [], []
    for number, projection in enumerate(plan.projections):
        film = draw_film(projection, plan.signs, (*plan.seed, 100 + number), size, plan.positioning)
        views.append(View(encode_png(film.pixels), projection))
        for finding, (x0, y0, x1, y1) in film.boxes:
            boxes.append(Box(number, FINDINGS.index(finding), x0 / size, y0 / size, x1 / size, y1 / size))
    return Study(
        study_id=plan.study_id,
        subject_id=plan.subject_id,
        split=split,
        views=tuple(views),
        findings=report.findings,
        impression=report.impression,
        indication=report.indication,
        labels=report.labels,
        source="phantom",
        boxes=tuple(boxes),
    )


def generate(
    split_sizes: Mapping[str, int] | None = None, seed: int = 0, size: int = 256, version: int = VERSION
) -> Iterator[Study]:
    """Draw all studies of all splits in turn; ``split_sizes`` maps train, val and test to numbers of studies."""
    for split, count in (SPLIT_SIZES if split_sizes is None else split_sizes).items():
        for index in range(count):
            yield draw_study(split, index, seed, size, version)
