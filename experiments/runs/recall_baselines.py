"""Baselines of recall: what a study would recall at random, by its predicted findings, or by the likeness of films.

Each is written in the format of the network's own ``recalled/own.jsonl``. A memory that recalls no better than these
gives no reasons.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.memory.bank import MemoryBank
from ammrg.networks.attribution import attribution
from ammrg.networks.recall_targets import finding_sides
from ammrg.networks.report_network import ReportNetwork
from ammrg.thresholds import is_predicted
from callbacks.report_writer import recalled_row, write_lines
from experiments.runs.study_features import StudyFeatures

LISTED = 5
"""Patterns listed for a finding, and reports for a study."""


def write_recall_baselines(
    network: ReportNetwork, train: StudyFeatures, evaluated: StudyFeatures, folder: Path, seed: int
) -> list[Path]:
    """Write ``random.jsonl``, ``filtered.jsonl`` and ``nearest_image.jsonl``.

    - ``random``: regions and reports at random;
    - ``filtered``: random regions of the finding, and reports whose abnormal findings are most like the predicted ones
      (Jaccard index), ties at random;
    - ``nearest_image``: regions of the finding, and reports, whose studies' films are most like the study's own (cosine
      similarity of mean tokens).

    Args:
        network: with at least one memory; what is off is left empty.
        train: the training studies.
        evaluated: the studies whose reports were written.
        folder: the folder to write to.
        seed: of the random choices.

    Returns:
        The files written.
    """
    found = is_predicted(evaluated.findings, network.classifier.thresholds.cpu())[:, list(ABNORMAL)]
    regions = _scores(network.visual_bank, train, evaluated, seed)
    reports = _scores(network.report_bank, train, evaluated, seed)
    if network.report_bank is not None:
        affirmed = finding_sides(network.report_bank.texts).unflatten(1, (len(ABNORMAL), -1)).amax(2)
        common = found.float() @ affirmed.T
        likeness = common / (found.sum(1)[:, None] + affirmed.sum(1) - common).clamp(min=1)
        alike = torch.where(found.any(1)[:, None], likeness, (affirmed.sum(1) == 0).float())
        reports["filtered"] = alike.double() + 1e-6 * reports["random"]  # in float32, ties would go by their order
    paths = []
    for name in ("random", "filtered", "nearest_image"):
        rows = _rows(network, name, found, regions, reports, evaluated.study_ids)
        paths.append(write_lines(folder / f"{name}.jsonl", rows))
    return paths


def _scores(bank: MemoryBank | None, train: StudyFeatures, evaluated: StudyFeatures, seed: int) -> dict[str, Tensor]:
    """The score of each pattern for each evaluated study, ``[b n]``, by baseline; the highest are listed."""
    if bank is None:
        return {}
    chance = torch.from_numpy(np.random.default_rng(seed).random((len(evaluated.study_ids), len(bank))))
    place = {study: row for row, study in enumerate(train.study_ids)}
    likeness = evaluated.image @ train.image.T  # [b studies]
    nearest = likeness.new_full(chance.shape, -torch.inf)
    for pattern, owners in enumerate(bank.study_ids):
        known = [place[study] for study in owners if study in place]
        if known:
            nearest[:, pattern] = likeness[:, known].amax(1)
    return {"random": chance, "filtered": chance, "nearest_image": nearest}


def _rows(
    network: ReportNetwork,
    name: str,
    found: Tensor,
    regions: dict[str, Tensor],
    reports: dict[str, Tensor],
    study_ids: list[str],
) -> Iterator[dict[str, object]]:
    for row, study_id in enumerate(study_ids):
        listed = {}
        for finding in (ABNORMAL[i] for i in found[row].nonzero().flatten().tolist()):
            bank = network.visual_bank
            if bank is None:
                break
            own = bank.is_owned if name == "random" else bank.region_findings == finding
            listed[FINDINGS[finding]] = _best(bank, regions[name][row], own)
        bank = network.report_bank
        texts = [] if bank is None else _best(bank, reports[name][row], torch.ones(len(bank), dtype=torch.bool))
        yield recalled_row(study_id, listed, texts)


def _best(bank: MemoryBank, scores: Tensor, allowed: Tensor) -> list:  # type: ignore[type-arg]
    best = scores.masked_fill(~allowed, -torch.inf).topk(min(LISTED, int(allowed.sum()))).indices
    return [attribution(bank, row, 0.0) for row in best.tolist()]
