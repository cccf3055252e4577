"""Activation maps -> square patches of a film, the published way, so that its worth can be measured."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.findings import ABNORMAL, NUM_FINDINGS, POSITIVE
from ammrg.maps import shows_place
from ammrg.memory.regions import Region, inside
from ammrg.thresholds import is_predicted


def pick_patches(
    maps: Tensor,
    tokens: Tensor,
    labels: Tensor,
    probabilities: Tensor,
    thresholds: Tensor,
    *,
    side: int = 224,
    patch: int = 16,
    least: float = 0.75,
    per_finding: int = 6,
    predicted_only: bool = False,
    no_finding: bool = True,
    cell_shift: float = 0.0,
) -> list[Region]:
    """The patches of one film, by finding and then strongest first (Wang et al. 2026).

    The map of every finding that is labelled positive is scaled to [0, 1] by its minimum and maximum and drawn at
    ``side`` x ``side`` pixels; of its ``patch`` x ``patch`` squares those with a mean above ``least`` are kept, the
    strongest first (ties: first in reading order). A map that shows no place
    (:func:`ammrg.maps.shows_place`) gives none. Scaling gives every other a peak, also where the finding was
    not predicted, and neighbouring squares are kept beside each other:
    :func:`ammrg.memory.regions.pick_regions` does neither.

    Args:
        maps: ``[14 gh gw]``, any scale.
        tokens: ``[gh*gw q]``; a patch's token is that of the cell its centre lies in.
        labels, probabilities, thresholds: ``[14]``, as for :func:`ammrg.memory.regions.pick_regions`.
        side: must be a multiple of ``patch``, in pixels.
        least: in (0, 1). per_finding: at most so many patches of a finding.
        predicted_only: take a finding only where its probability is above its threshold.
        no_finding: also take patches of "No Finding".
        cell_shift: as for :func:`ammrg.memory.regions.pick_regions`.

    Raises:
        ValueError: settings out of range.
    """
    if patch < 1 or side % patch or not 0.0 < least < 1.0 or per_finding < 1:
        raise ValueError(
            f"side ({side}) must be a multiple of patch ({patch}), least ({least}) in (0, 1), per_finding "
            f"({per_finding}) at least 1"
        )
    wanted = (labels == POSITIVE) & shows_place(maps)
    if predicted_only:
        wanted = wanted & is_predicted(probabilities, thresholds)
    count = side // patch
    rows, columns = (torch.arange(count).mul(2).add(1).mul(n).div(2 * count).long() for n in maps.shape[1:])
    regions = []
    for finding in (i for i in (range(NUM_FINDINGS) if no_finding else ABNORMAL) if wanted[i]):
        heat = maps[finding]
        scaled = (heat - heat.min()) / (heat.max() - heat.min())
        drawn = F.interpolate(scaled[None, None], size=(side, side), mode="bilinear", align_corners=False)
        means = F.avg_pool2d(drawn, patch).flatten()
        for place in means.argsort(descending=True, stable=True)[:per_finding].tolist():
            if means[place] <= least:
                break
            row, column = divmod(place, count)
            right, down = cell_shift / heat.shape[1], cell_shift / heat.shape[0]
            edges = (column / count + right, row / count + down, (column + 1) / count + right, (row + 1) / count + down)
            box = (inside(edges[0]), inside(edges[1]), inside(edges[2]), inside(edges[3]))
            token = tokens[int(rows[row]) * heat.shape[1] + int(columns[column])]
            regions.append(Region(finding, box, float(probabilities[finding] * means[place]), token))
    return regions
