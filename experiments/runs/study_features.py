"""What stage 1 computes for the studies of a split: the material of all baselines."""

from __future__ import annotations

from typing import NamedTuple

import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from ammrg.findings import FINDINGS
from ammrg.metrics.location import Places
from ammrg.networks.disease_classifier import DiseaseClassifier
from ammrg.networks.places import places_of, study_places
from ammrg.types import StudyBatch


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
    """For each study, where stage 1 sees its findings, absent ones too; empty if it was trained without places."""
    labels: Tensor
    """float32 ``[n 14]``: 1, 0, -1, NaN."""


@torch.inference_mode()
def study_features(
    classifier: DiseaseClassifier, loader: DataLoader[StudyBatch], device: torch.device, name: str
) -> StudyFeatures:
    """Run the stage-1 network, in eval mode, over a loader without augmentation.

    Args:
        classifier: the network.
        loader: the studies.
        device: where the network is.
        name: what the progress bar calls the studies.
    """
    images: list[Tensor] = []
    findings: list[Tensor] = []
    study_ids: list[str] = []
    subject_ids: list[str] = []
    reports: list[str] = []
    places: list[Places] = []
    labels: list[Tensor] = []
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
        labels.append(batch.labels)
        head = classifier.place_head
        if head is None or seen.places is None:
            places += [{}] * count
        else:
            found = study_places(seen.places, seen.logits, owner, batch.projections, count)
            places += [dict(zip(FINDINGS, row, strict=True)) for row in places_of(head.named(found).cpu())]
    return StudyFeatures(
        torch.cat(images), torch.cat(findings), study_ids, subject_ids, reports, places, torch.cat(labels)
    )
