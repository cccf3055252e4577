"""The mining report: how well a region memory covers the findings of the training films, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ammrg.findings import ABNORMAL, FINDINGS
from ammrg.memory.bank import MemoryBank
from ammrg.memory.regions import MinedFilm, Region
from ammrg.metrics.pointing import TOLERANCE
from ammrg.types import Box

_ROWS_AT_A_TIME = 4096
_SHARES = ("coverage", "farthest", "mean_distance", "on_known_place")


def mining_report(films: Sequence[MinedFilm], bank: MemoryBank) -> dict[str, Any]:
    """Count mined and stored regions for each finding, and measure how well the stored ones represent them.

    Args:
        films: all films that were mined.
        bank: the region memory that was chosen from them.

    Returns:
        ``{films, studies, mined_regions, stored_regions, findings: {finding: ...}, macro: {...}}``. Each finding has

        - ``positive_studies``, ``positive_films``: studies labelled positive, and their films; of these films,
          ``predicted_films`` have the finding predicted, and ``flat_films`` gave no region although it was predicted,
          because the map shows no place;
        - ``mined_studies``, ``mined_regions``;
        - ``coverage``: the share of positive studies that were mined; None without positive studies;
        - ``stored_studies``, ``stored_regions``;
        - ``farthest``, ``mean_distance``: distance from a mined region to the nearest stored one, maximum and mean
          (Euclidean, layer-normed as retrieval sees them, divided by the square root of the width: unrelated patterns
          are 1.41 apart); None without any;
        - ``on_known_place``: share of the stored regions whose centre is in a known box of the finding on its film
          (widened by :data:`ammrg.metrics.pointing.TOLERANCE`); None where no film has such a box.

        ``macro`` averages ``coverage``, ``farthest``, ``mean_distance`` and ``on_known_place`` over the findings that
        have them.
    """
    by_place = {(film.study_id, film.view): film for film in films}
    report: dict[str, Any] = {
        "films": len(films),
        "studies": len({film.study_id for film in films}),
        "mined_regions": sum(len(film.regions) for film in films),
        "stored_regions": sum(bool(owners) for owners in bank.study_ids),
        "findings": {},
    }
    for finding in sorted({*ABNORMAL, *(region.finding for film in films for region in film.regions)}):
        mined = [(film, region) for film in films for region in film.regions if region.finding == finding]
        stored = [row for row, owners in enumerate(bank.study_ids) if owners and bank.findings[row] == finding]
        positive = {film.study_id for film in films if finding in film.positive}
        found = {film.study_id for film, _ in mined}
        distances = _distances([region for _, region in mined], bank.patterns[stored])
        known = [
            _is_on_place(bank.boxes[row].tolist(), places)
            for row in stored
            if (places := _places(by_place[bank.study_ids[row][0], int(bank.views[row])], finding))
        ]
        report["findings"][FINDINGS[finding]] = {
            "positive_studies": len(positive),
            "positive_films": sum(finding in film.positive for film in films),
            "predicted_films": sum(finding in film.predicted for film in films),
            "flat_films": sum(finding in film.flat for film in films),
            "mined_studies": len(found),
            "mined_regions": len(mined),
            "coverage": len(found & positive) / len(positive) if positive else None,
            "stored_studies": len({bank.study_ids[row][0] for row in stored}),
            "stored_regions": len(stored),
            "farthest": float(distances.max()) if len(distances) else None,
            "mean_distance": float(distances.mean()) if len(distances) else None,
            "on_known_place": _mean(known),
        }
    rows = list(report["findings"].values())
    report["macro"] = {name: _mean([row[name] for row in rows if row[name] is not None]) for name in _SHARES}
    return report


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _distances(mined: Sequence[Region], stored: Tensor) -> Tensor:
    """Measure the distance from each mined region's token to the nearest stored pattern, ``[m]``.

    The result is empty where there are no regions or no stored patterns.
    """
    if not mined or not len(stored):
        return torch.empty(0)
    centres = F.layer_norm(stored, stored.shape[1:])
    parts = []
    for start in range(0, len(mined), _ROWS_AT_A_TIME):
        tokens = torch.stack([region.token for region in mined[start : start + _ROWS_AT_A_TIME]]).float()
        parts.append(torch.cdist(F.layer_norm(tokens, tokens.shape[1:]), centres).amin(dim=1))
    nearest: Tensor = torch.cat(parts) / stored.shape[1] ** 0.5
    return nearest


def _places(film: MinedFilm, finding: int) -> list[Box]:
    return [box for box in film.boxes if box.finding == finding]


def _is_on_place(box: Sequence[float], places: Sequence[Box]) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return any(
        place.x0 - TOLERANCE <= x <= place.x1 + TOLERANCE and place.y0 - TOLERANCE <= y <= place.y1 + TOLERANCE
        for place in places
    )
