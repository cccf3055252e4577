"""Baselines in the format of reports.jsonl, which a trained system must beat.

They are reports copied from the training data, and stage 1's findings in fixed sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from ammrg.evaluation.verdicts import TEMPLATE
from ammrg.metrics.guards import best_constant, nearest, random_training, template_reports
from ammrg.metrics.location import Places
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.thresholds import is_predicted
from ammrg.types import StudyBatch
from callbacks.report_writer import write_lines
from datamodules.studies import StudyDataModule

PlacesOf = Callable[[StudyBatch], Sequence[Places]]
"""A batch -> for each study, the places of its findings that are known; other findings may be among them."""


class StudyFeatures(NamedTuple):
    """What stage 1 computes for the studies of a split."""

    image: Tensor
    """float32 ``[n q]``: the mean projected token of each study's films, at unit length."""
    findings: Tensor
    """float32 ``[n 14]``: probabilities of the findings."""
    study_ids: list[str]
    subject_ids: list[str]
    reports: list[str]
    places: list[Places]
    """For each study, where stage 1 sees its findings; empty if that is not known."""


@torch.inference_mode()
def study_features(
    classifier: DiseaseClassifier,
    loader: DataLoader[StudyBatch],
    device: torch.device,
    name: str,
    places_of: PlacesOf | None = None,
) -> StudyFeatures:
    """Run the stage-1 network over a loader without augmentation.

    Args:
        classifier: the network, in eval mode.
        loader: the studies.
        device: where the network is.
        name: what the progress bar calls the studies.
        places_of: where the network sees the findings of a batch, which is on the device; None = not known.
    """
    images: list[Tensor] = []
    findings: list[Tensor] = []
    study_ids: list[str] = []
    subject_ids: list[str] = []
    reports: list[str] = []
    places: list[Places] = []
    for batch in track(loader, description=f"features of {name}", transient=True):
        count = len(batch.study_ids)
        owner = batch.study_of_view.to(device)
        seen = classifier(batch.images.to(device))
        sums = torch.zeros(count, seen.tokens.shape[-1], device=device)
        sums.index_add_(0, owner, seen.tokens.float().mean(dim=1))
        images.append(torch.nn.functional.normalize(sums, dim=-1).cpu())
        findings.append(classifier.study_logits(seen.logits.float(), owner, count).sigmoid().cpu())
        study_ids += batch.study_ids
        subject_ids += batch.subject_ids
        reports += batch.reports
        places += [{}] * count if places_of is None else places_of(batch.to(device))
    return StudyFeatures(torch.cat(images), torch.cat(findings), study_ids, subject_ids, reports, places)


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
    classifier: DiseaseClassifier,
    datamodule: StudyDataModule,
    device: torch.device,
    folder: Path,
    seed: int,
    places_of: PlacesOf | None = None,
) -> list[Path]:
    """Write ``folder/<baseline>.jsonl`` for the split whose reports were written.

    Args:
        classifier: the stage-1 network of the run.
        datamodule: the data of the run.
        device: where the network is.
        folder: the folder to write to.
        seed: of the random baseline.
        places_of: where the network sees the findings of a batch; None = the template names no places.

    Returns:
        The files written.
    """
    classifier.eval()
    train = study_features(classifier, datamodule.evaluation_loader("train", alone=True), device, "training studies")
    loader = datamodule.evaluation_loader(datamodule.predict_split, alone=True)
    evaluated = study_features(classifier, loader, device, "evaluated studies", places_of)
    known = set(train.reports)
    paths = []
    for name, texts in baseline_reports(train, evaluated, classifier.thresholds, datamodule.texts("val"), seed):
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
