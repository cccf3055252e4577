"""The pointing game: is the peak of a finding's map inside the finding's box?"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ammrg.findings import ABNORMAL, FINDINGS, NUM_FINDINGS, POSITIVE
from ammrg.maps import shows_place
from ammrg.metrics.bootstrap import drawable, with_interval
from ammrg.metrics.classification import patient_weights
from ammrg.metrics.gathered import GatheredMetric
from ammrg.metrics.study_predictions import id_key
from ammrg.types import StudyBatch

TOLERANCE = 15 / 224
"""How far a peak may be outside its box, as a share of the film's side."""


class PointingCases(NamedTuple):
    """The c cases of a split: a film and a positive finding that has a box on it."""

    findings: Tensor
    """int64 ``[c]``."""
    subjects: Tensor
    """int64 ``[c]``: keys of the patients."""
    hits: Tensor
    """float32 ``[c]``, 0 or 1."""
    mean_map_hits: Tensor
    """float32 ``[c]``, 0 or 1: hits of the finding's mean map, which is the same for every film."""


class PointingGame(GatheredMetric):
    """Whether the peak of a positive finding's map is in its box (Zhang et al. 2018), against a mean-map baseline.

    A case is a hit if the peak is in any of the finding's boxes on the film, widened by :data:`TOLERANCE`. The baseline
    takes the peak of the finding's mean map for every film (the mean over all cases of the split, each map scaled to a
    maximum of 1).

    Args:
        cell_shift: distance of a token's centre from the middle of its cell, in cells (see
            :class:`ammrg.networks.visual_encoder.VisualEncoder`); peaks are moved by it.
    """

    boxes: list[Tensor]
    keys: list[Tensor]
    peaks: list[Tensor]
    grids: list[Tensor]
    """int64 ``[1 2]``: height and width of the maps."""
    maps: list[Tensor]
    """float32 ``[14 * height * width]``: the sum of each finding's maps so far."""

    def __init__(self, cell_shift: float = 0.0) -> None:
        super().__init__()
        self.cell_shift = cell_shift
        self.add_rows("boxes", torch.float32, 4)
        self.add_rows("keys", torch.int64, 3)
        self.add_rows("peaks", torch.float32, 2)
        self.add_rows("grids", torch.int64, 2)
        self.add_rows("maps", torch.float32)

    def update(self, maps: Tensor, batch: StudyBatch) -> None:
        """Add a batch with the maps ``[v 14 gh gw]`` >= 0 of its films."""
        sums = maps.new_zeros(maps.shape[1:], dtype=torch.float32)
        counted: set[tuple[int, int]] = set()
        for box in batch.boxes:
            study = int(batch.study_of_view[box.view])
            if box.finding not in ABNORMAL or batch.labels[study, box.finding] != POSITIVE:
                continue
            heat = maps[box.view, box.finding]
            if (box.view, box.finding) not in counted and shows_place(heat):
                counted.add((box.view, box.finding))
                sums[box.finding] += heat / heat.max()
            view = box.view - int((batch.study_of_view < study).sum())
            film = id_key(f"{batch.study_ids[study]}|{view}")
            self.boxes.append(maps.new_tensor([[box.x0, box.y0, box.x1, box.y1]], dtype=torch.float32))
            self.keys.append(torch.tensor([[film, box.finding, id_key(batch.subject_ids[study])]], device=maps.device))
            self.peaks.append(peak_of(heat, self.cell_shift)[None])
        if len(self.maps) > 1:
            self.maps[-1] = self.maps[-1] + sums.flatten()
        else:
            self.maps.append(sums.flatten())
            self.grids.append(torch.tensor([maps.shape[2:]], device=maps.device))

    def compute(self) -> PointingCases | None:
        """All cases; None if there is none."""
        boxes, keys, peaks, grids = map(self.rows, ("boxes", "keys", "peaks", "grids"))
        if not len(boxes):
            return None
        mean_maps = self.rows("maps").view(-1, NUM_FINDINGS, *grids[0].tolist()).sum(0)
        mean_peaks = torch.stack([peak_of(heat, self.cell_shift) for heat in mean_maps])[keys[:, 1]]
        cases, index = torch.unique(keys, dim=0, return_inverse=True)
        hits = torch.zeros(2, len(cases))
        for row, where in enumerate((peaks, mean_peaks)):
            inside = (where >= boxes[:, :2] - TOLERANCE) & (where <= boxes[:, 2:] + TOLERANCE)
            hits[row].scatter_reduce_(0, index, inside.all(dim=1).float(), "amax")
        return PointingCases(cases[:, 1], cases[:, 2], hits[0], hits[1])


def peak_of(heat: Tensor, cell_shift: float = 0.0) -> Tensor:
    """The centre (x, y) of the strongest token of a map ``[gh gw]``: float32 ``[2]``, relative to the film's sides.

    NaN, which is never a hit, if the map shows no place (:func:`ammrg.maps.shows_place`).
    """
    if not shows_place(heat):
        return heat.new_full((2,), torch.nan, dtype=torch.float32)
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    x, y = (column + 0.5 + cell_shift) / heat.shape[1], (row + 0.5 + cell_shift) / heat.shape[0]
    return heat.new_tensor([x, y], dtype=torch.float32)


def pointing_scores(cases: PointingCases, resamples: int) -> dict[str, Any]:
    """Shares of hits: ``{pointing_game, pointing_game_mean_map, pointing_game_by_finding}``.

    Each has a 95% interval over patients, None with too few patients.
    """
    cases = PointingCases(*(part.reshape(-1) for part in cases))  # torchmetrics turns a single case into a scalar
    weights = patient_weights(cases.subjects, resamples)

    def share(values: Tensor, rows: Tensor) -> dict[str, float | None]:
        drawn = drawable(len(torch.unique(cases.subjects[rows])), resamples)
        chosen = weights[: 1 + drawn, rows]
        return with_interval(((chosen * values[rows]).sum(1) / chosen.sum(1)).numpy())

    every = torch.ones_like(cases.findings, dtype=torch.bool)
    return {
        "pointing_game": share(cases.hits, every),
        "pointing_game_mean_map": share(cases.mean_map_hits, every),
        "pointing_game_by_finding": {
            FINDINGS[i]: {
                **share(cases.hits, cases.findings == i),
                "mean_map": share(cases.mean_map_hits, cases.findings == i)["value"],
                "cases": int((cases.findings == i).sum()),
            }
            for i in torch.unique(cases.findings).tolist()
        },
    }
