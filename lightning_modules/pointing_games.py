"""The pointing games of stage 1: how often each map method points into a finding's box."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from ammrg.metrics.pointing import PointingCases, PointingGame, pointing_scores
from ammrg.networks.class_activation import MapMethod
from ammrg.types import StudyBatch


class PointingGames(torch.nn.Module):
    """One :class:`PointingGame` for each split and map method.

    Args:
        splits: names of the splits.
        methods: the map methods to compare.
        cell_shift: see :class:`PointingGame`.
    """

    def __init__(self, splits: Iterable[str], methods: Iterable[MapMethod], cell_shift: float) -> None:
        super().__init__()
        methods = tuple(methods)
        self.games = torch.nn.ModuleDict(
            {split: torch.nn.ModuleDict({method: PointingGame(cell_shift) for method in methods}) for split in splits}
        )

    def shift_cells(self, cell_shift: float) -> None:
        """Set the shift of the map's cells, which may depend on the size of the films."""
        for game in self.modules():
            if isinstance(game, PointingGame):
                game.cell_shift = cell_shift

    def update(self, split: str, maps: Mapping[MapMethod, Tensor], batch: StudyBatch) -> None:
        """Play one batch with the maps of each method, ``[v 14 gh gw]`` and >= 0."""
        games = cast(torch.nn.ModuleDict, self.games[split])
        for method, heat in maps.items():
            cast(PointingGame, games[method]).update(heat, batch)

    def hits(self, split: str) -> dict[MapMethod, float]:
        """Share of cases, in [0, 1], that each method hits; empty if no film had a box. Resets the games."""
        return {method: float(cases.hits.mean()) for method, cases in self._finished(split).items()}

    def scores(self, split: str, resamples: int) -> dict[MapMethod, dict[str, Any]]:
        """:func:`ammrg.metrics.pointing.pointing_scores` of each method; empty if no film had a box.

        Resets the games.
        """
        return {method: pointing_scores(cases, resamples) for method, cases in self._finished(split).items()}

    def _finished(self, split: str) -> dict[MapMethod, PointingCases]:
        found = {}
        for method, game in cast(torch.nn.ModuleDict, self.games[split]).items():
            cases = cast(PointingGame, game).compute()
            cast(PointingGame, game).reset()
            if cases is not None:
                found[cast(MapMethod, method)] = cases
        return found
