"""Attribution: the stored patterns that were retrieved for a report, with their weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ammrg.findings import FINDINGS, NUM_FINDINGS
from ammrg.memory.bank import MemoryBank
from ammrg.networks.places import ELEMENTS
from ammrg.types import Attribution, Retrieval


def attributions(bank: MemoryBank, found: Retrieval, most: int) -> list[list[Attribution]]:
    """List for each study the stored patterns with the highest association, averaged over the 14 queries.

    Args:
        bank: the bank that was retrieved from.
        found: the retrieval of b studies, with the k strongest associations of each query.
        most: most patterns listed for a study.

    Returns:
        b lists, strongest first; patterns with weight 0 are left out.
    """
    result = []
    for indices, weights in zip(found.indices.cpu(), found.weights.float().cpu(), strict=True):
        rows, place = indices.flatten().unique(return_inverse=True)
        total = torch.zeros(len(rows)).index_add(0, place, weights.flatten()) / NUM_FINDINGS
        best = total.topk(min(most, len(rows)))
        named = zip(rows[best.indices].tolist(), best.values.tolist(), strict=True)
        result.append([attribution(bank, row, weight) for row, weight in named if weight > 0])
    return result


def attributions_by_finding(
    bank: MemoryBank, found: Retrieval, named: Tensor, most: int
) -> list[dict[str, list[Attribution]]]:
    """List what the query of each named finding recalled.

    Args:
        bank: the bank that was retrieved from.
        found: the retrieval of b studies, with the k strongest associations of each query.
        named: bool ``[b 14]``, the findings to list.
        most: most patterns listed for a finding, at most k.

    Returns:
        For each study: finding -> patterns, strongest first; patterns with weight 0 are left out.
    """
    indices, weights = found.indices.cpu(), found.weights.float().cpu()
    result: list[dict[str, list[Attribution]]] = [{} for _ in named]
    for study, finding in named.cpu().nonzero().tolist():
        listed = zip(indices[study, finding, :most].tolist(), weights[study, finding, :most].tolist(), strict=True)
        result[study][FINDINGS[finding]] = [attribution(bank, row, weight) for row, weight in listed if weight > 0]
    return result


def attribution(bank: MemoryBank, row: int, weight: float) -> Attribution:
    """Describe one stored pattern of a bank, given its row and its weight in [0, 1]."""
    finding, box = int(bank.findings[row]), bank.boxes[row].tolist()
    return Attribution(
        pattern=row,
        study_id=bank.study_ids[row][0] if bank.study_ids[row] else "",
        finding=FINDINGS[finding] if finding >= 0 else None,
        box=None if any(math.isnan(value) for value in box) else (box[0], box[1], box[2], box[3]),
        text=bank.texts[row] or None,
        weight=weight,
        place=tuple(word for word, has in zip(ELEMENTS, bank.places[row].tolist(), strict=True) if has),
    )
