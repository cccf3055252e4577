"""Every metric under two processes, one of which saw nothing: what one process alone says of the same studies."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as distributed
import torch.multiprocessing as multiprocessing
from torchmetrics import Metric

import ammrg
from ammrg.errors import ScoringError
from ammrg.findings import NUM_FINDINGS
from ammrg.metrics.pointing import PointingGame
from ammrg.metrics.report_metrics import ClinicalMetric, LanguageMetric, ReportMetric
from ammrg.metrics.study_predictions import StudyPredictions
from ammrg.types import Box, StudyBatch


def studies() -> StudyBatch:
    labels = torch.zeros(3, NUM_FINDINGS)
    labels[0, 1] = labels[2, 4] = 1.0
    return StudyBatch(
        images=torch.zeros(3, 1, 4, 4, dtype=torch.uint8),
        study_of_view=torch.arange(3),
        labels=labels,
        reports=["Mild cardiomegaly.", "The lungs are clear.", "Small left pleural effusion."],
        study_ids=["a", "b", "c"],
        subject_ids=["1", "2", "3"],
        projections=["frontal"] * 3,
        boxes=[Box(0, 1, 0.1, 0.1, 0.4, 0.4), Box(2, 4, 0.5, 0.5, 0.9, 0.9)],
    )


def reports(metric: Any) -> None:
    batch = studies()
    metric.update(batch.study_ids, batch.reports, ["The heart is large.", "The lungs are clear.", "No effusion."])


def predictions(metric: Any) -> None:
    metric.update(torch.linspace(-2, 2, 3 * NUM_FINDINGS).view(3, -1), studies())


def maps(metric: Any) -> None:
    metric.update(torch.rand(3, NUM_FINDINGS, 5, 7, generator=torch.Generator().manual_seed(1)), studies())


FED: dict[type[Metric], Callable[[Any], None]] = {
    LanguageMetric: reports,
    ClinicalMetric: reports,
    StudyPredictions: predictions,
    PointingGame: maps,
}


def test_every_metric_is_tried() -> None:
    found = set()
    for module in pkgutil.walk_packages(ammrg.__path__, "ammrg."):
        if module.name.startswith("ammrg.metrics."):
            for _, one in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                # compute alone is what makes one of a base
                if issubclass(one, Metric) and one.__module__.startswith("ammrg.") and "compute" in vars(one):
                    found.add(one)
    assert found == set(FED)
    assert ReportMetric not in found


def said(kind: type[Metric], feed: bool) -> Any:
    metric = kind()
    if feed:
        FED[kind](metric)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchmetrics warns of a compute before any update
        try:
            found = metric.compute()
        except ScoringError as error:
            return str(error)
    metric.reset()
    return [part.tolist() for part in found] if isinstance(found, tuple) else found


def _rank(rank: int, store: str, out: str) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    found = {(kind.__name__, full): said(kind, feed=rank in full) for kind in FED for full in ((0,), (1,), (0, 1), ())}
    Path(f"{out}{rank}").write_text(repr(found))
    distributed.destroy_process_group()


def test_a_process_that_saw_nothing_changes_nothing(tmp_path: Path) -> None:
    multiprocessing.spawn(_rank, args=(str(tmp_path / "store"), str(tmp_path / "out")), nprocs=2)
    first, second = (eval((tmp_path / f"out{rank}").read_text()) for rank in (0, 1))
    assert first == second
    for kind in FED:
        alone = eval(repr(said(kind, feed=True)))
        assert alone, kind
        for full in ((0,), (1,), (0, 1)):  # what both saw counts once
            assert first[kind.__name__, full] == alone, (kind, full)
        assert first[kind.__name__, ()] in (None, "no reports to score.")


@pytest.mark.parametrize("kind", FED)
def test_an_empty_state_is_of_the_kind_of_a_full_one(kind: type[Metric]) -> None:
    """Also after a reset, which torchmetrics would leave without a type."""
    full, empty = kind(), kind()
    FED[kind](full)
    empty.reset()
    for name in full._reductions:
        parts, none = getattr(full, name), getattr(empty, name)
        assert len(none) == 1
        assert len(none[0]) == 0
        assert {(part.dtype, part.shape[1:]) for part in parts} == {(none[0].dtype, none[0].shape[1:])}


def test_rows_so_far_are_taken_up() -> None:
    metric, later = StudyPredictions(), StudyPredictions()
    predictions(metric)
    later.take_up(metric.rows_so_far())
    assert [part.tolist() for part in later.compute() or ()] == [part.tolist() for part in metric.compute() or ()]
    # As earlier versions kept them.
    kept = {name: parts[1:] for name, parts in metric.rows_so_far().items()}
    again = StudyPredictions()
    again.take_up(kept)
    assert [part.tolist() for part in again.compute() or ()] == [part.tolist() for part in metric.compute() or ()]
