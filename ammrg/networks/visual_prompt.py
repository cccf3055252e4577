"""The visual prompt: stage 1's output for films, the streams of visual tokens made from it, and the whole prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ammrg.findings import NO_FINDING, NUM_FINDINGS
from ammrg.networks.places import ELEMENTS
from ammrg.types import PROJECTIONS, Retrieval


class SeenFilms(NamedTuple):
    """The part of stage 1's output for films that stage 2 reads."""

    logits: Tensor
    """``[v 14]``."""
    queries: Tensor
    """Q_f ``[v 14 q]``."""
    raw_tokens: Tensor
    """``[v n e]``: the encoder's tokens."""
    grid: tuple[int, int]
    """``(gh, gw)`` with gh * gw = n."""
    places: Tensor | None = None
    """``[v 14 5]``: logits of the places of findings; None where stage 1 knows none."""

    @staticmethod
    def join(parts: Sequence[SeenFilms]) -> SeenFilms:
        """Concatenate the films of several parts, on the device of the last one."""
        device = parts[-1].logits.device
        moved = [part if part.logits.device == device else part.to(device) for part in parts]
        return SeenFilms(
            torch.cat([part.logits for part in moved]),
            torch.cat([part.queries for part in moved]),
            torch.cat([part.raw_tokens for part in moved]),
            moved[-1].grid,
            None if moved[-1].places is None else torch.cat([part.places for part in moved if part.places is not None]),
        )

    def take(self, films: Tensor) -> SeenFilms:
        """Return some of the films, or all in another order (rows, int64 ``[m]``)."""
        places = None if self.places is None else self.places[films]
        return SeenFilms(self.logits[films], self.queries[films], self.raw_tokens[films], self.grid, places)

    def to(self, device: torch.device) -> SeenFilms:
        """Move to a device, detached from any graph."""
        moved = (tensor.detach().to(device) for tensor in (self.logits, self.queries, self.raw_tokens))
        places = None if self.places is None else self.places.detach().to(device)
        logits, queries, raw_tokens = moved
        return SeenFilms(logits, queries, raw_tokens, self.grid, places)

    @property
    def size(self) -> int:
        """Size in bytes."""
        places = 0 if self.places is None else self.places.nbytes
        return self.logits.nbytes + self.queries.nbytes + self.raw_tokens.nbytes + places


class VisualPrompt(NamedTuple):
    """The prompts of b studies, with the outputs that they were made from."""

    tokens: list[Tensor]
    """b tensors ``[m_i d]`` of visual tokens in the width of the language model."""
    instructions: list[str]
    logits: Tensor
    """``[b 14]``: logits of the studies."""
    places: Tensor | None
    """``[b 14 5]``: probabilities of the places of their findings; None where stage 1 knows none."""
    queries: Tensor
    """Q_f ``[b 14 q]``."""
    states: Tensor
    """``[b 14 q]``: the state patterns of the retrieval from both memories, Q_f with or without places."""
    regions: Retrieval | None
    """Retrieval from the visual memory; None where it is off."""
    reports: Retrieval | None
    """Retrieval from the report memory; None where it is off."""


class VisualStream(nn.Module):
    """Projects tokens of one kind to the language model's width: layer norm, linear map, and a learned mark.

    Its weights are of order one, and the result is scaled to the size of a word's embedding. So the language model can
    read visual tokens from the first step on, whatever the size of its embeddings.

    Args:
        width: of the tokens.
        out_width: d, of the language model.
        scale: root mean square of a word's embedding.
    """

    def __init__(self, width: int, out_width: int, scale: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, out_width)
        nn.init.normal_(self.project.weight, std=width**-0.5)
        nn.init.zeros_(self.project.bias)
        self.kind = nn.Parameter(torch.randn(out_width) * 0.1)
        self.scale = scale

    def forward(self, tokens: Tensor, extra: Tensor | float = 0.0) -> Tensor:
        """Project tokens ``[.. n width]`` to ``[.. n d]``; ``extra`` is added before the scaling."""
        return cast(Tensor, (self.project(self.norm(tokens)) + self.kind + extra) * self.scale)


class StatePlaces(nn.Module):
    """Adds to each state pattern Q_f[i] the place of finding i, and all findings of the study with their places.

    A query of the Q-Former knows little of the other findings; a report is about all of them. The maps start at zero.

    Args:
        width: q.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.own = nn.Linear(len(ELEMENTS) + 1, width, bias=False)
        self.study = nn.Linear(NUM_FINDINGS * (len(ELEMENTS) + 1), width, bias=False)
        for layer in (self.own, self.study):
            nn.init.zeros_(layer.weight)

    def forward(self, queries: Tensor, findings: Tensor, places: Tensor) -> Tensor:
        """Add to Q_f ``[b 14 q]``; findings are probabilities ``[b 14]``, places probabilities ``[b 14 5]``."""
        known = findings[..., None] * torch.cat([torch.ones_like(findings)[..., None], places], dim=-1)  # [b 14 6]
        return queries + cast(Tensor, self.own(known) + self.study(known.flatten(1))[:, None])


def deciding_queries(seen: SeenFilms, study_of_view: Tensor, studies: int) -> Tensor:
    """Choose the Q_f of studies ``[b 14 q]``: for each finding, from the film that decides the study's logit.

    Args:
        seen: v films.
        study_of_view: int64 ``[v]``, the row of each film's study.
        studies: b.

    Raises:
        ValueError: a study has no film.
    """
    sign = torch.ones(NUM_FINDINGS, device=seen.logits.device)
    sign[NO_FINDING] = -1
    views = torch.arange(len(study_of_view), device=study_of_view.device)
    rows = []
    for study in range(studies):
        own = views[study_of_view == study]
        if len(own) == 0:
            raise ValueError(f"study {study} of the batch has no film")
        speaks = own[(seen.logits[own] * sign).argmax(0)]  # [14]
        rows.append(seen.queries[speaks, torch.arange(NUM_FINDINGS, device=speaks.device)])
    return torch.stack(rows)


def pooled_grid(grid: tuple[int, int], side: int | None) -> tuple[int, int]:
    """Return the size of a grid after averaging to at most ``side`` cells per side; None: unchanged."""
    return grid if side is None else (min(grid[0], side), min(grid[1], side))


def pooled_tokens(seen: SeenFilms, side: int | None) -> Tensor:
    """Average the encoder's tokens of each film to the grid of :func:`pooled_grid`, ``[v n e]``."""
    high, wide = seen.grid
    pooled = pooled_grid(seen.grid, side)
    if pooled == seen.grid:
        return seen.raw_tokens
    grid = seen.raw_tokens.transpose(1, 2).reshape(len(seen.raw_tokens), -1, high, wide)  # [v e gh gw]
    return F.adaptive_avg_pool2d(grid, pooled).flatten(2).transpose(1, 2)


def projection_numbers(projections: Sequence[str]) -> Tensor:
    """Return each film's index into :data:`PROJECTIONS`, int64 ``[v]``; any other projection counts as unknown."""
    known = [name if name in PROJECTIONS else "unknown" for name in projections]
    return torch.tensor([PROJECTIONS.index(name) for name in known])
