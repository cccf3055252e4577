"""Square patches picked from activation maps, as published, to compare with our regions."""

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
    """Pick the patches of one film, ordered by finding and then strongest first (Wang et al. 2026).

    The map of each finding that is labelled positive is scaled to [0, 1] by its minimum and maximum and enlarged to
    ``side`` x ``side`` pixels. It is divided into squares of ``patch`` x ``patch``; those with a mean above ``least``
    are kept, strongest first (ties: first in reading order). A map that shows no place
    (:func:`ammrg.maps.shows_place`) gives no patch.

    Two things differ from :func:`ammrg.memory.regions.pick_regions`: scaling gives every other map a peak, even where
    the finding was not predicted, and neighbouring squares are all kept.

    Args:
        maps: ``[14 gh gw]``, any scale.
        tokens: ``[gh*gw q]``; a patch gets the token of the cell that holds its centre.
        labels: ``[14]``, as for :func:`ammrg.memory.regions.pick_regions`.
        probabilities: ``[14]``, as there.
        thresholds: ``[14]``, as there.
        side: of the enlarged map, in pixels; a multiple of ``patch``.
        patch: side of a square, in pixels.
        least: in (0, 1).
        per_finding: most patches of a finding.
        predicted_only: take a finding only where its probability is above its threshold.
        no_finding: also take patches of "No Finding".
        cell_shift: as for :func:`ammrg.memory.regions.pick_regions`.

    Raises:
        ValueError: a setting is out of range.
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
