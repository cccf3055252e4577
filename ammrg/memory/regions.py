"""Regions picked from activation maps: the parts of a film that a region memory may store."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.findings import ABNORMAL, FINDINGS, NUM_FINDINGS, POSITIVE
from ammrg.maps import shows_place
from ammrg.thresholds import is_predicted
from ammrg.types import Box, Corners


class Region(NamedTuple):
    """One region of one film."""

    finding: int
    """Index into :data:`ammrg.findings.FINDINGS`."""
    box: Corners
    """Its place on the film."""
    score: float
    """In (0, 1]: the finding's probability times the peak's height, as a share of the map's maximum."""
    token: Tensor
    """``[q]``, in the dtype of the film's tokens."""
    place: tuple[bool, ...] = ()
    """Whether it lies left, right, upper, mid, lower; empty = unknown."""
    text: str = ""
    """The sentences of the study's report that affirm the finding."""


class MinedFilm(NamedTuple):
    """The regions of one film, with what is known about the film."""

    study_id: str
    subject_id: str
    view: int
    """Index of the film in its study."""
    regions: list[Region]
    positive: tuple[int, ...] = ()
    """Abnormal findings for which the film's study is labelled positive."""
    predicted: tuple[int, ...] = ()
    """The findings of ``positive`` that are predicted on this film."""
    boxes: tuple[Box, ...] = ()
    """Known places on the film, where the data set has them."""
    flat: tuple[int, ...] = ()
    """The findings of ``predicted`` without a region, because their map shows no place."""


def pick_regions(
    maps: Tensor,
    tokens: Tensor,
    labels: Tensor,
    probabilities: Tensor,
    thresholds: Tensor,
    *,
    per_finding: int = 6,
    share: float = 0.75,
    window: int = 3,
    no_finding: bool = False,
    cell_shift: float = 0.0,
) -> list[Region]:
    """Pick the regions of one film, ordered by finding and then strongest first.

    A finding gives regions only where it is labelled positive, is predicted above its threshold, and has a map that
    shows a place (:func:`ammrg.maps.shows_place`). Its peaks are the local maxima of the map (3x3 cells) that reach
    ``share`` of the map's maximum. They are taken strongest first (ties: first in reading order), each with a window of
    ``window`` x ``window`` cells around it (cut off at the film's edge). A peak whose window would overlap one already
    taken is a near-duplicate and is dropped.

    A region's token is the mean of the window's tokens, weighted by the map. Its box encloses the cells of the window
    that reach ``share`` of the maximum, so a narrow peak gives a small box.

    Args:
        maps: ``[14 gh gw]``, >= 0 or not finite, any scale.
        tokens: ``[gh*gw q]``: tokens of the same film, projected to the Q-Former's width, row by row.
        labels: ``[14]`` of the film's study: 1 positive, 0 negative, -1 uncertain, NaN blank.
        probabilities: ``[14]`` in [0, 1], predicted for this film.
        thresholds: ``[14]`` in [0, 1].
        per_finding: most regions of a finding.
        share: in (0, 1].
        window: side in cells, odd; 1 takes only the peak's token.
        no_finding: also take regions of "No Finding".
        cell_shift: distance from the middle of a cell to the point that its token is centred on, in cells (see
            :class:`ammrg.networks.visual_encoder.VisualEncoder`). Boxes are moved by it, but stay on the film.

    Raises:
        ValueError: shapes do not fit, a setting is out of range, or a map has a negative value.
    """
    _check(maps, tokens, (labels, probabilities, thresholds), per_finding, share, window)
    reach = window // 2
    taken = list(range(NUM_FINDINGS)) if no_finding else list(ABNORMAL)
    wanted = (labels == POSITIVE) & is_predicted(probabilities, thresholds) & shows_place(maps)
    regions = []
    for finding in (i for i in taken if wanted[i]):
        heat = maps[finding]
        top = float(heat.max())
        for row, column in _peaks(heat, share * top, window)[:per_finding]:
            rows = slice(max(0, row - reach), row + reach + 1)
            columns = slice(max(0, column - reach), column + reach + 1)
            cells = heat[rows, columns]
            grid = tokens.reshape(*heat.shape, -1)[rows, columns]
            token = torch.einsum("yx,yxq->q", (cells / cells.sum()).to(grid.dtype), grid)
            box = _box(cells >= share * top, rows.start, columns.start, heat.shape, cell_shift)
            regions.append(Region(finding, box, float(probabilities[finding] * heat[row, column] / top), token))
    return regions


def _peaks(heat: Tensor, least: float, window: int) -> list[tuple[int, int]]:
    """Find the cells (row, column) of local maxima >= least whose windows do not overlap.

    They are ordered strongest first (ties: first in reading order).
    """
    around = F.max_pool2d(heat[None, None], kernel_size=3, stride=1, padding=1)[0, 0]
    cells = ((heat >= around) & (heat >= least)).nonzero()
    strength = heat[cells[:, 0], cells[:, 1]]
    kept: list[tuple[int, int]] = []
    for row, column in cells[strength.argsort(descending=True, stable=True)].tolist():
        if all(max(abs(row - y), abs(column - x)) >= window for y, x in kept):
            kept.append((row, column))
    return kept


def _box(strong: Tensor, row: int, column: int, grid: torch.Size, shift: float) -> Corners:
    """Enclose the True cells of a window that starts at (row, column); move the box by ``shift`` cells.

    Returns:
        The corners relative to the grid.
    """
    height, width = grid
    ys, xs = strong.nonzero().T
    return (
        inside((column + int(xs.min()) + shift) / width),
        inside((row + int(ys.min()) + shift) / height),
        inside((column + int(xs.max()) + 1 + shift) / width),
        inside((row + int(ys.max()) + 1 + shift) / height),
    )


def inside(place: float) -> float:
    """Limit a relative coordinate to the film, [0, 1]."""
    return min(1.0, max(0.0, place))


def _check(
    maps: Tensor, tokens: Tensor, vectors: tuple[Tensor, Tensor, Tensor], per_finding: int, share: float, window: int
) -> None:
    if maps.dim() != 3 or len(maps) != NUM_FINDINGS:
        raise ValueError(f"maps must be [{NUM_FINDINGS} gh gw], not {list(maps.shape)}")
    if tokens.dim() != 2 or len(tokens) != maps[0].numel():
        raise ValueError(f"tokens must be [{maps[0].numel()} q] for maps {list(maps.shape)}, not {list(tokens.shape)}")
    for name, vector in zip(("labels", "probabilities", "thresholds"), vectors, strict=True):
        if vector.shape != (NUM_FINDINGS,):
            raise ValueError(f"{name} must be [{NUM_FINDINGS}], not {list(vector.shape)}")
    if per_finding < 1 or not 0.0 < share <= 1.0 or window < 1 or window % 2 == 0:
        raise ValueError(
            f"per_finding ({per_finding}) must be >= 1, share ({share}) in (0, 1], window ({window}) odd and >= 1"
        )
    negative = (maps < 0).flatten(1).any(dim=1)
    if negative.any():
        raise ValueError(f"the map of {FINDINGS[int(negative.nonzero()[0])]} holds values below 0")
