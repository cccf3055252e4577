"""Baselines in the format of reports.jsonl, which a trained system must beat.

They are reports copied from the training data, and stage 1's findings in fixed sentences.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import Tensor

from ammrg.evaluation.verdicts import TEMPLATE
from ammrg.metrics.guards import best_constant, nearest, random_training, template_reports
from ammrg.thresholds import is_predicted
from callbacks.report_writer import write_lines
from experiments.runs.study_features import StudyFeatures


def baseline_reports(
    train: StudyFeatures, evaluated: StudyFeatures, thresholds: Tensor, validation_reports: Sequence[str], seed: int
) -> Iterator[tuple[str, list[str]]]:
    """Yield each baseline: its name, and one report for each evaluated study.

    ``thresholds``, ``[14]``, are those above which a finding counts as predicted.
    """
    count = len(evaluated.study_ids)
    for metric, text in best_constant(train.reports, list(validation_reports)).items():
        yield f"best_constant_{metric}", [text] * count
    yield "random_training", random_training(train.reports, count, seed)
    for name, pattern, state in (
        ("nearest_image", train.image, evaluated.image),
        ("nearest_findings", train.findings, evaluated.findings),
    ):
        yield name, [train.reports[i] for i in nearest(pattern.numpy(), state.numpy()).tolist()]
    predicted = is_predicted(evaluated.findings, thresholds.cpu())
    yield TEMPLATE, template_reports(predicted.tolist(), evaluated.places)


def write_baselines(
    train: StudyFeatures,
    evaluated: StudyFeatures,
    thresholds: Tensor,
    validation_reports: Sequence[str],
    folder: Path,
    seed: int,
) -> list[Path]:
    """Write ``folder/<baseline>.jsonl`` for the split whose reports were written.

    Args:
        train: the training studies.
        evaluated: the studies whose reports were written.
        thresholds: ``[14]``, probabilities above which a finding counts as predicted.
        validation_reports: reports that the best constant report is chosen on.
        folder: the folder to write to.
        seed: of the random baseline.

    Returns:
        The files written.
    """
    known = set(train.reports)
    paths = []
    for name, texts in baseline_reports(train, evaluated, thresholds, validation_reports, seed):
        rows = (
            {
                "study_id": study_id,
                "subject_id": subject_id,
                "reference": reference,
                "generated": text,
                "reference_in_training": reference in known,
            }
            for study_id, subject_id, reference, text in zip(
                evaluated.study_ids, evaluated.subject_ids, evaluated.reports, texts, strict=True
            )
        )
        paths.append(write_lines(folder / f"{name}.jsonl", rows))
    return paths
